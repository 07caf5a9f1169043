"""Log probabilities: how far those of two outputs are apart, where their prefixes are equal."""
