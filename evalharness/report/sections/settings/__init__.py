"""The settings: one row each, with every figure about it alone."""
