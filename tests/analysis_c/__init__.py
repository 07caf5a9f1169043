"""Verdicts and comparisons end to end, on runs of the command."""
