"""What the emulator says: grammar, sampling, known answers, values for a JSON Schema."""
