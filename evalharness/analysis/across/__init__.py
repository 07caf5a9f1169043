"""Agreement across settings and runs: how often two of them give the same output."""
