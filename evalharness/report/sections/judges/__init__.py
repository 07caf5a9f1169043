"""The judgings of a run."""
