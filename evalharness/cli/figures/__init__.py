"""The figures of a run as tables for other programs."""
