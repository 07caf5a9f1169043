"""Records as arrays: loading, encoding, cells of prompt and setting, texts."""
