"""Records as arrays: reading, encoding, cells of prompt and setting, texts."""
