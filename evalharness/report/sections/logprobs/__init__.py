"""How far the log probabilities of settings, runs and providers are apart."""
