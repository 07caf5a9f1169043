"""The process itself: forks, child processes, standard streams, wake-ups, tuning."""
