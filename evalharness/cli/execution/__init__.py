"""What the commands that send have in common: preparing, connections, signals, last lines."""
