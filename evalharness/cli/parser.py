"""What argparse lacks for these commands: exit code 2 with our name, and a type to annotate."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn, TypeAlias

from evalharness.errors import EXIT_CONFIG


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line behind the usage."""

    def error(self, message: str) -> NoReturn:
        """Print the usage and the message, and end with the exit code of a bad configuration."""
        self.print_usage(sys.stderr)
        self.exit(EXIT_CONFIG, f"evalharness: {message}\n")


# argparse keeps the type of what add_subparsers returns to itself.
Commands: TypeAlias = "argparse._SubParsersAction[Parser]"  # pyright: ignore[reportPrivateUsage]
