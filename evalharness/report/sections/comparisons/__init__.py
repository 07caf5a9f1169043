"""Comparisons and trends: their words, sentences, tables and charts, and the output of compare."""
