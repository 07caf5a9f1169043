"""What `evalharness list` shows: a row a run, its filters and its table."""
