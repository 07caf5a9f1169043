"""The prompts whose repeats agree least, with all their outputs."""
