"""The model equality test as it is shown."""
