"""Effects of parameters: temperature, seed, limits, and the values that were sent and echoed."""
