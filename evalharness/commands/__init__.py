"""One module a command. ``cli`` parses arguments and calls them; they print and return exit codes."""
