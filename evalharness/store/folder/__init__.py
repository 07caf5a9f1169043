"""A run folder: its files, its lock, its reader and its writer."""
