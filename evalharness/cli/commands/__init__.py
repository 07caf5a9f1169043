"""One module a command: ``cli`` parses arguments, it prints and returns an exit code."""
