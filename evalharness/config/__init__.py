"""The typed configuration of a run, strict YAML, the scan for secrets, the shipped data."""
