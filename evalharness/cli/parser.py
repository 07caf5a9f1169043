"""The argument parser of all commands, and options that several commands share."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn, TypeAlias

from evalharness.errors import EXIT_CONFIG


class Parser(argparse.ArgumentParser):
    """Prints what is wrong in one line after the usage."""

    def error(self, message: str) -> NoReturn:
        """Print the usage and the message, and end with the exit code of a bad configuration."""
        self.print_usage(sys.stderr)
        self.exit(EXIT_CONFIG, f"evalharness: {message}\n")


# argparse keeps the type of what add_subparsers returns to itself.
Commands: TypeAlias = "argparse._SubParsersAction[Parser]"  # pyright: ignore[reportPrivateUsage]


def add_scoring(parser: argparse.ArgumentParser) -> None:
    """Add ``scoring=…`` and ``answer=…``, which replace a run's own scoring."""
    parser.add_argument("overrides", nargs="*", metavar="scoring=…", help="or answer=…: replace it")


def add_pricing(parser: argparse.ArgumentParser) -> None:
    """Add ``--pricing``."""
    parser.add_argument("--pricing", metavar="FILE", help="a price file over the shipped ones")


def add_page(parser: argparse.ArgumentParser, text: str) -> None:
    """Add ``--html`` and ``--open``."""
    parser.add_argument("--html", metavar="FILE", help=text)
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
