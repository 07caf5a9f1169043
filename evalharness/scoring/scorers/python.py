"""``python``: the user's own function scores."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from evalharness.scoring.base import Sample, Score, Scorer, binary_score


class PythonScorer(Scorer, frozen=True, kw_only=True):
    """Calls ``function(sample, **args)`` and takes what it returns as the score.

    Attributes:
        path: ``package.module.function`` or ``package.module:function``; modules in the current
            folder are found.
        args: keyword arguments for the function.

    The function gets a :class:`~evalharness.scoring.base.Sample` and returns a
    :class:`~evalharness.scoring.base.Score`, a boolean, a number in 0..1, or None for "not
    scored". Equal outputs of a prompt are scored once, so it must depend on the sample alone.
    It decides itself what a missing target means.

    """

    path: str
    args: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])

    needs_target: ClassVar[bool] = False
    fork_safe: ClassVar[bool] = False  # a user's module may have started anything

    def __post_init__(self) -> None:
        try:
            _import_function(self.path)
        except ValueError as error:
            raise ValueError(f"`path`: {error}") from None

    def default_label(self, name: str) -> str:
        """The function's name: a run can have several of them."""
        return re.split(r"[.:]", self.path)[-1]

    def evaluate(self, sample: Sample) -> Score:
        """Call the function."""
        result = _import_function(self.path)(sample, **self.args)
        text = self.text_to_score(sample)
        if isinstance(result, Score):
            return result
        if result is None:
            return Score(None, text, "the function gave no score")
        if isinstance(result, bool):
            return binary_score(result, text, "the function said yes" if result else "said no")
        return Score(float(result), text, "by the function")


@lru_cache(maxsize=64)
def _import_function(path: str) -> Callable[..., Any]:
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
    function = getattr(module, name, None)
    if not callable(function):
        raise ValueError(f"{module_name!r} has no function {name!r}")
    return function
