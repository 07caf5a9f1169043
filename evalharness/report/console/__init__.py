"""A report as text on a terminal."""
