"""One training run: the models before it, its state, its csv, and how it stops and resumes."""
