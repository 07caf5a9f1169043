"""What parameters do: effects, seeds, limits that were respected or not."""
