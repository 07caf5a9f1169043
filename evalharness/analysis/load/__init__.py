"""Load points: latency under load, throughput, time lines."""
