"""What concerns the process itself: copies, children, standard streams, tuning."""
