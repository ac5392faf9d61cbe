"""Request files: drawn lengths and token ids, or recorded data, written row by row."""
