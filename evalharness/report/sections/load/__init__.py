"""The load points of a benchmark: requested and achieved rates, times, searches."""
