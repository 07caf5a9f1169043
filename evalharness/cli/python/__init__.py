"""``evalharness.run(…)``: from keywords to a configuration, and a run in a thread of its own."""
