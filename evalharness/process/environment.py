"""Environment variables that hold keys, and an environment without them for child processes."""

from __future__ import annotations

import os
import re

_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)
# Variables that configurations of this process name as holding a key, whatever they are called.
_marked: set[str] = set()


def mark_as_secret(variable: str) -> None:
    """Treat an environment variable as one that holds a key, whatever its name."""
    _marked.add(variable)


def marked_values() -> list[str]:
    """The values of the variables marked with :func:`mark_as_secret`."""
    return [os.environ.get(variable, "").strip() for variable in sorted(_marked)]


def secret_values() -> list[str]:
    """The values of all variables that hold a key, by their mark or by their name."""
    return [value for variable, value in os.environ.items() if is_secret(variable)]


def environment_without_secrets() -> dict[str, str]:
    """The environment for a child process that needs no key: variables with secrets left out."""
    return {name: value for name, value in os.environ.items() if not is_secret(name)}


def is_secret(variable: str) -> bool:
    """Whether a variable holds a key, by its mark or by its name."""
    return variable in _marked or _SECRET_NAME.search(variable) is not None
