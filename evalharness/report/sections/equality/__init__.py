"""The model equality test: its sentences, its table, its part of the report."""
