"""Errors and attempts: what failed and why, what was tried again, and the run over time."""
