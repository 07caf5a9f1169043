"""Load points in the JSON layouts of other load tools."""
