"""Cells of the calibration: what is simulated, what it promises, how the figures are printed."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

#: How many binomial errors a share may be outside of its promise.
ERRORS = 2.6
_VALUES_AT_ONCE = 4_000_000

Measure = Callable[[np.random.Generator, int], "Outcome"]


class Promise(NamedTuple):
    """Where a share must be.

    Attributes:
        low, high: its bounds, 0 to 1.
        above: why more than ``high`` is right; empty where it is not.
        below: why less than ``low`` is said to happen; empty where it is not.
    """

    low: float
    high: float
    above: str = ""
    below: str = ""


COVERAGE = Promise(0.93, 0.97)
POWER = Promise(0.78, 0.85)
FALSE = Promise(0.0, 0.05)
NEVER = Promise(0.0, 0.0)


class Outcome(NamedTuple):
    """What came of the simulated runs of a cell.

    Attributes:
        hits: runs that did what is counted: intervals that hold the truth, differences found.
        runs: runs that count: those with an interval.
        undefined: runs without an interval, or that promised nothing.
        one_sided: runs whose interval has no end on one side.
        significant: tests with p below .05.
        contradictions: tests whose p and interval disagree about 0.
        tests: tests made.
        note: a figure in words, beside the share.
    """

    hits: int = 0
    runs: int = 0
    undefined: int = 0
    one_sided: int = 0
    significant: int = 0
    contradictions: int = 0
    tests: int = 0
    note: str = ""

    def plus(self, other: Outcome) -> Outcome:
        """The sums of both."""
        sums = [a + b for a, b in zip(self[:-1], other[:-1], strict=True)]
        return Outcome(*sums, note=self.note or other.note)

    @property
    def share(self) -> float:
        """Hits of the runs that count; NaN without any."""
        return self.hits / self.runs if self.runs else math.nan

    @property
    def error(self) -> float:
        """The binomial standard error of the share, at least that of one hit."""
        p = (self.hits + 0.5) / (self.runs + 1.0)
        return math.sqrt(p * (1.0 - p) / self.runs) if self.runs else math.nan


class Case(NamedTuple):
    """A cell of a table; ``promise`` is None where a figure is for information."""

    table: str
    row: str
    column: str
    measure: Measure
    promise: Promise | None
    values_a_run: int = 1

    def run(self, runs: int, seed: int) -> Outcome:
        """Simulate it, with a seed of its own; fewer runs where each is very large."""
        own = zlib.crc32(f"{self.table}|{self.row}|{self.column}".encode())
        rng = np.random.default_rng([seed, own])
        return self.measure(rng, max(min(runs, 200), min(runs, 20_000_000 // self.values_a_run)))

    def fails(self, outcome: Outcome) -> bool:
        """Whether the share is outside of what is promised, beyond chance."""
        if self.promise is None or not outcome.runs:
            return False
        low, high, above, below = self.promise
        if outcome.share < low - ERRORS * _error(low, outcome.runs):
            return not below
        return not above and outcome.share > high + ERRORS * _error(high, outcome.runs)

    def text(self, outcome: Outcome) -> str:
        """The share with its error, and what there is to say."""
        parts: list[str] = []
        if outcome.runs:
            figure = f"{100 * outcome.share:.1f} ± {100 * outcome.error:.1f}"
            parts.append(
                f"**{figure} fails**" if self.fails(outcome) else figure + self._mark(outcome)
            )
        every = outcome.runs + outcome.undefined
        if outcome.undefined:
            parts.append(f"none in {100 * outcome.undefined / every:.0f} %")
        if outcome.one_sided:
            parts.append(f"one end in {100 * outcome.one_sided / every:.0f} %")
        if outcome.note:
            parts.append(outcome.note)
        return "; ".join(parts) or "–"

    def _mark(self, outcome: Outcome) -> str:
        if self.promise is None:
            return " (nothing promised)"
        if outcome.share < self.promise.low - ERRORS * _error(self.promise.low, outcome.runs):
            return f" ({self.promise.below})"
        if outcome.share > self.promise.high:
            return f" ({self.promise.above})" if self.promise.above else ""
        return ""


def _error(share: float, runs: int) -> float:
    return math.sqrt(share * (1.0 - share) / runs)


def batches(runs: int, values_a_run: int) -> Iterator[int]:
    """The runs in parts that fit into memory."""
    step = max(1, _VALUES_AT_ONCE // values_a_run)
    for start in range(0, runs, step):
        yield min(step, runs - start)


def markdown(heading: str, cases: Sequence[Case], outcomes: Sequence[Outcome]) -> list[str]:
    """The lines of a table of cells."""
    rows, columns = (list(dict.fromkeys(names)) for names in
                     ([case.row for case in cases], [case.column for case in cases]))  # fmt: skip
    texts = {(c.row, c.column): c.text(o) for c, o in zip(cases, outcomes, strict=True)}
    lines = ["", f"| {' | '.join([heading, *columns])} |", "|---" * (len(columns) + 1) + "|"]
    figures = ([texts.get((row, column), "–") for column in columns] for row in rows)
    lines += [f"| {' | '.join([row, *f])} |" for row, f in zip(rows, figures, strict=True)]
    return lines
