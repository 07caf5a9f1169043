"""What searches and sweeps of loads found."""
