"""What servers said of themselves during a run."""
