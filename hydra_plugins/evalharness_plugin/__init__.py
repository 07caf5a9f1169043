"""Hydra plugins, which Hydra finds only in its own namespace: the launcher and the search path."""
