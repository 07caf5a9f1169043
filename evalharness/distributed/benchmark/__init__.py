"""Benchmarks on several workers: shares of one schedule, on one clock."""
