"""Agreement: how often the same request gives the same output, and what that depends on."""
