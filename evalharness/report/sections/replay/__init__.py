"""What a replay sent again: its trace or run, and what was left out of it."""
