"""The sentences and number formats of a report."""
