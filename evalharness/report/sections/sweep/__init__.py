"""What the swept parameters do to each figure."""
