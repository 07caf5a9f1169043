"""Batch invariance: the same answer alone and under load."""
