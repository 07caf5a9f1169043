"""``python``: the user's own function scores."""

from __future__ import annotations

import re
import sys
from collections.abc import Awaitable
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from evalharness.scoring.base import Sample, Score, Scorer, UnscorableError, binary_score
from evalharness.scoring.bounds import Bounds
from evalharness.scoring.isolation import user_functions
from evalharness.scoring.isolation.user_functions import import_function

if TYPE_CHECKING:
    import asyncio


class PythonScorer(Scorer, frozen=True, kw_only=True):
    """Calls ``function(sample, **args)`` and takes what it returns as the score.

    Attributes:
        path: ``package.module.function`` or ``package.module:function``; modules in the current
            folder are found.
        args: keyword arguments for the function.
        timeout_s: seconds for one output, whether it computes or waits; beyond it the value is
            null.
        max_memory_mib: memory of the process that it runs in, in MiB (Linux).

    The function gets a :class:`~evalharness.scoring.base.Sample` and returns a
    :class:`~evalharness.scoring.base.Score`, a boolean, a number in 0..1, or None for "not
    scored"; it may be asynchronous. Equal outputs of a prompt are scored once, so it must depend on
    the sample alone. It decides itself what a missing target means. A report runs it in a process
    of its own, which is killed at the limits and started again; only a function of ``__main__``
    (a notebook's) runs where it is defined, without limits.

    """

    path: str
    args: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
    timeout_s: Annotated[float, Meta(gt=0, le=3600)] = 60.0
    max_memory_mib: Annotated[int, Meta(ge=64)] = 4096

    needs_target: ClassVar[bool] = False
    fork_safe: ClassVar[bool] = False  # a user's module may have started anything

    def __post_init__(self) -> None:
        problem = _import_problem(self.path, self.bounds())
        if problem is not None:
            raise ValueError(f"`path`: {problem}")

    def bounds(self) -> Bounds:
        """It runs in a process of its own."""
        if _is_defined_here(self.path):
            return Bounds(in_process_chars=sys.maxsize)
        return Bounds(
            in_process_chars=0,
            cpu_s=None,
            wall_s=self.timeout_s,
            memory_mib=self.max_memory_mib,
            option="timeout_s",
            user_function=self.path,
        )

    def default_label(self, name: str) -> str:
        """The function's name: a run can have several of them."""
        return re.split(r"[.:]", self.path)[-1]

    def evaluate(self, sample: Sample) -> Score:
        """Call the function."""
        result = import_function(self.path)(sample, **self.args)
        if hasattr(result, "__await__"):
            result = _wait_for(result)
        text = self.text_to_score(sample)
        if isinstance(result, Score):
            value = None if result.value is None else _number(result.value)
            return Score(value, _text_or_none(result.answer), str(result.explanation))
        if result is None:
            return Score(None, text, "the function gave no score")
        if isinstance(result, bool):
            return binary_score(result, text, "the function said yes" if result else "said no")
        return Score(_number(result), text, "by the function")


def _is_defined_here(path: str) -> bool:
    """Whether the function is in the program itself, which another process does not have."""
    return re.split(r"[.:]", path)[0] == "__main__"


def _import_problem(path: str, bounds: Bounds) -> str | None:
    """Why the function cannot be imported where it is to run; None where it can."""
    if user_functions.is_child or _is_defined_here(path):
        try:
            import_function(path)
        except ValueError as error:
            return str(error)
        return None
    from evalharness.scoring.isolation.client import import_problem

    return import_problem(bounds)


def _number(value: Any) -> float:
    """A returned number, NumPy's included; a text of digits is none."""
    if isinstance(value, str | bytes | bytearray):
        raise UnscorableError("the function gave a text, not a number")
    return float(value)


def _text_or_none(value: object) -> str | None:
    return None if value is None else str(value)


@cache
def _runner() -> asyncio.Runner:
    """The event loop of all calls, so that a client that the user's module keeps can be used."""
    import asyncio

    return asyncio.Runner()


def _wait_for(awaitable: Awaitable[Any]) -> Any:
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    async def wait() -> Any:
        return await awaitable

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _runner().run(wait())
    with ThreadPoolExecutor(1) as thread:  # a notebook's loop is running
        return thread.submit(asyncio.run, wait()).result()
