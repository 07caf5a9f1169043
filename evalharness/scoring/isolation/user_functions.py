"""Importing the functions of users, in the process that runs them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

is_child = False  # whether this process is one that scores for another


@lru_cache(maxsize=64)
def import_function(path: str) -> Callable[..., Any]:
    """Import the function once.

    Raises:
        ValueError: no such module or function, or the module fails when imported.

    """
    module_name, _, name = path.rpartition(":" if ":" in path else ".")
    if not module_name or not name:
        raise ValueError(f"must be `module.function`, got {path!r}")
    folder = str(Path.cwd())
    added = folder not in sys.path
    if added:
        sys.path.insert(0, folder)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        # A missing module is more often in another folder than misspelled.
        not_found = (
            isinstance(error, ModuleNotFoundError) and error.name == module_name.split(".")[0]
        )
        place = " here or among the installed packages" if not_found else ""
        modules = sorted(p.stem for p in Path.cwd().glob("*.py")) if not_found else []
        place += f"; here are {', '.join(modules[:10])}" if modules else ""
        reason = str(error) or type(error).__name__
        raise ValueError(f"cannot import {module_name!r}: {reason}{place}") from error
    finally:
        if added:
            sys.path.remove(folder)
    function: Any = module
    for part in name.split("."):
        function = getattr(function, part, None)
    if not callable(function):
        raise ValueError(f"{module_name!r} has no function {name!r}")
    return function
