"""Scoring and extraction in a process that can be killed at its limits."""
