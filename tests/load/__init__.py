"""Benchmarks: arrivals, pacing, metrics, search, the section of the report."""
