"""Small forms of the benchmarks."""
