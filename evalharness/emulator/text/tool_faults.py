"""Faults of tool calls, as servers with a wrong template or parser make them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple


class FaultRates(NamedTuple):
    """How often each fault happens, in [0, 1].

    Attributes:
        bad_arguments: of a call: its arguments end too early.
        unknown_name: of a call: its function was not offered.
        stop: of an answer with calls: its finish reason is ``stop``.
    """

    bad_arguments: float
    unknown_name: float
    stop: float


class FaultyCalls(NamedTuple):
    """Calls after their faults: names, arguments, and whether the finish reason is ``stop``."""

    calls: list[tuple[str, str]]
    is_stop: bool


class ToolFaults:
    """Spoils tool calls.

    Args:
        rates: how often.
        seed: of the choices.
    """

    def __init__(self, rates: FaultRates, seed: int) -> None:
        self._rates, self._seed = rates, seed

    def __bool__(self) -> bool:
        return any(self._rates)

    def spoil(self, calls: Sequence[tuple[str, str]], answer: int) -> FaultyCalls:
        """The calls (name and arguments) of an answer, which has this number."""
        draw = random.Random(f"{self._seed} tools {answer}")
        spoiled: list[tuple[str, str]] = []
        for name, arguments in calls:
            if draw.random() < self._rates.unknown_name:
                name = f"functions_{name}"
            if draw.random() < self._rates.bad_arguments:
                arguments = arguments[:-1]
            spoiled.append((name, arguments))
        return FaultyCalls(spoiled, draw.random() < self._rates.stop)
