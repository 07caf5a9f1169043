"""Classification: how the labels that outputs name compare with those of the targets."""
