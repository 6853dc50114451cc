"""One study of a policy on logged episodes: sources, padded episodes, scores, fitted values, windows."""
