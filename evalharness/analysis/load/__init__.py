"""What load points say: latencies under load, throughput, timelines."""
