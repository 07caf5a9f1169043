"""How an answer of the emulator goes out: bodies, event streams, timing, faults."""
