"""The first screen of a report: answers, caveats and differences in sentences."""
