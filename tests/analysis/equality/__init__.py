"""Whether outputs come from one model."""
