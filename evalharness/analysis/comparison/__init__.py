"""Settings against settings, paired by prompt."""
