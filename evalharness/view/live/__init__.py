"""A running run as it goes on: read from its journal, and sent to everybody who watches it."""
