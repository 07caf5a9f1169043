"""How soon repeats part, and the noise of their log probabilities."""
