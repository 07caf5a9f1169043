"""Tool calls against a reference."""
