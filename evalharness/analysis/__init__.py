"""From records to findings: determinism, quality, effects, comparison, cost and latency."""
