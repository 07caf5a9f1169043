"""The list of runs: a row a run from its small files, its filters, and its table."""
