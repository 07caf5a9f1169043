"""Analysis of records: agreement, quality, parameter effects, comparisons, cost and latency."""
