"""What Hydra must find in its own plugin namespace: the pooled launcher and the search path."""
