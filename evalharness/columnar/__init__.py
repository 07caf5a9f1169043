"""Arrays in memory and on disk: Arrow operations, text pools, row stores, hash tables."""
