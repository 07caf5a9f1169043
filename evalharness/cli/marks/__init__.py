"""Marks of people in files: read from, and written into."""
