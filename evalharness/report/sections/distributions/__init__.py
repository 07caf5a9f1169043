"""Distributions of latency, tokens and agreement by setting."""
