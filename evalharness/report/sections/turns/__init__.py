"""Conversations by turn: their tables and plots in the report."""
