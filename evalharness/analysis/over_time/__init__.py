"""Figures of runs over dates, and whether they changed."""
