"""What the run cost, by which prices, and what the money bought."""
