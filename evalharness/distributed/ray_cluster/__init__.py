"""Ray as it is run here: keys for its workers, and its end."""
