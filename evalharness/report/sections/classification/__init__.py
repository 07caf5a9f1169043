"""Confusion table, precision, recall and F1 of each class, where targets are labels."""
