"""What was spent, on what, and what was wasted."""
