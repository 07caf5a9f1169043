"""One scorer a file."""
