"""What travels to and from the store: ignore rules, source archives, datasets, uploads and verified downloads."""
