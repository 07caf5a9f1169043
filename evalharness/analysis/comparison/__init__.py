"""Comparisons of settings, paired by prompt."""
