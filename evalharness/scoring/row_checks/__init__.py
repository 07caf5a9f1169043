"""Checks per row: the scorers that a row of a dataset carries, and the score that they come to."""
