"""Parts that plots share."""
