"""What the emulator says: its grammar, its sampling, its known answers."""
