"""Asked against measured lengths of a synthetic workload."""
