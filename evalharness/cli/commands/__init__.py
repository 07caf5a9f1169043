"""The commands, one module each: options, handler, help and examples.

A module is light to import; what is heavy is imported inside its functions.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from evalharness.cli.parser import Command

# In the order of --help. The module of a name that is a keyword ends in an underscore.
COMMANDS = (
    "run",
    "plan",
    "judge",
    "report",
    "compare",
    "show",
    "check",
    "import",
    "export",
    "verify",
    "reconcile",
    "serve",
    "init",
)


def find_command(name: str) -> Command[Any]:
    """The command called ``name``; nothing of the others is imported."""
    module = "import_" if name == "import" else name
    command: Command[Any] = import_module(f"{__name__}.{module}").COMMAND
    return command
