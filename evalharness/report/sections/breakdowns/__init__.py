"""Agreement of pairs of repeats by what they had in common."""
