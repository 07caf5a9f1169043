"""Log probabilities of outputs, compared."""
