"""Tool calls of one endpoint against those of a reference."""
