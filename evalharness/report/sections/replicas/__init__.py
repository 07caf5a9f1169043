"""The servers behind one name, each for itself."""
