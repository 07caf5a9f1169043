"""Reports of several runs: figures over time, and the money of all of them."""
