"""One module a command: ``cli`` parses arguments and calls it, it prints and returns an exit code."""
