"""Synthetic workloads: prompts of asked lengths, made from words, the same on every machine."""
