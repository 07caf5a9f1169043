"""Printing on a terminal: lines that wrap, and how wide a report is."""

from __future__ import annotations

import os
import sys

from rich.console import Console
from rich.text import Text

from evalharness.report.words.sanitize import printable

_NO_TERMINAL_WIDTH = 100  # columns


def console_for_report() -> Console:
    """A console as wide as the terminal; 100 columns where stdout is no terminal."""
    is_sized = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(highlight=False, width=None if is_sized else _NO_TERMINAL_WIDTH)


def print_line(console: Console, line: str, style: str = "") -> None:
    """Print a line wrapped to the console; continuation lines are indented by two more."""
    bare = printable(line).lstrip(" ")
    indent = len(line) - len(line.lstrip(" "))
    wrapped = Text(bare, style=style).wrap(console, max(20, console.width - indent - 2))
    for index, piece in enumerate(wrapped):
        piece.rstrip()
        console.print(Text(" " * (indent + 2 * (index > 0))) + piece, soft_wrap=True)
