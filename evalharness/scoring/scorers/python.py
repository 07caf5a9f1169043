"""``python``: the user's own function judges."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from evalharness.scoring.base import Sample, Score, Scorer, verdict


class Python(Scorer, frozen=True, kw_only=True):
    """Calls ``function(sample, **args)`` and takes what it returns as the score.

    Attributes:
        path: ``package.module.function`` or ``package.module:function``; modules in the current
            folder are found.
        args: keyword arguments for the function.

    The function gets a :class:`~evalharness.scoring.base.Sample` and returns a
    :class:`~evalharness.scoring.base.Score`, a boolean, a number in 0..1, or None for "not
    scored". Equal outputs of a prompt are judged once, so it must depend on the sample alone.
    It decides itself what a missing target means.

    """

    path: str
    args: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])

    needs_target: ClassVar[bool] = False
    fits_copies: ClassVar[bool] = False  # a user's module may have started anything

    def __post_init__(self) -> None:
        try:
            _function(self.path)
        except ValueError as error:
            raise ValueError(f"`path`: {error}") from None

    def called(self, name: str) -> str:
        """Name the function: several of them may judge one run."""
        return re.split(r"[.:]", self.path)[-1]

    def grade(self, sample: Sample) -> Score:
        """Call the function."""
        result = _function(self.path)(sample, **self.args)
        said = self.said(sample)
        if isinstance(result, Score):
            return result
        if result is None:
            return Score(None, said, "the function gave no score")
        if isinstance(result, bool):
            return verdict(result, said, "the function said yes" if result else "said no")
        return Score(float(result), said, "by the function")


@lru_cache(maxsize=64)
def _function(path: str) -> Callable[..., Any]:
    """Import the function once.

    Raises:
        ValueError: no such module or function, or the module fails when imported.

    """
    module_name, _, name = path.rpartition(":" if ":" in path else ".")
    if not module_name or not name:
        raise ValueError(f"must be `module.function`, got {path!r}")
    here = str(Path.cwd())
    added = here not in sys.path
    if added:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        # A module that is not there is looked for in the wrong folder more often than misspelled.
        lost = isinstance(error, ModuleNotFoundError) and error.name == module_name.split(".")[0]
        where = " here or among the installed packages" if lost else ""
        beside = sorted(p.stem for p in Path.cwd().glob("*.py")) if lost else []
        where += f"; here are {', '.join(beside[:10])}" if beside else ""
        what = str(error) or type(error).__name__
        raise ValueError(f"cannot import {module_name!r}: {what}{where}") from error
    finally:
        if added:
            sys.path.remove(here)
    function = getattr(module, name, None)
    if not callable(function):
        raise ValueError(f"{module_name!r} has no function {name!r}")
    return function
