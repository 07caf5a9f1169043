"""From run folders to the data of a report: what every output form shows."""
