"""From a configuration to trials: axes become settings, settings and prompts become trials."""
