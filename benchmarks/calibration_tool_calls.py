"""Tool calls against a reference: false alarms of equal vendors, coverage of F1, what is found.

Each prompt has a chance of a call, even or nearly always the same, and a chance that a call is
valid. Both sides draw their answers from it; a vendor with faults spoils or misses a share.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np

from benchmarks.calibration_cells import COVERAGE, FALSE, Case, Outcome, Promise
from evalharness.analysis import stats
from evalharness.analysis.tool_calls.call_output import CallOutput
from evalharness.analysis.tool_calls.differences import (
    PromptAnswers,
    call_rates,
    decisions_p,
    share_called,
    smallest_of,
    valid_rates,
)

_TEXT = CallOutput("stop", 0, 0, 0, 0, False)
_OUTPUTS = {
    (called, broken): CallOutput("tool_calls", 1, 0, int(broken), 0, False) if called else _TEXT
    for called in (False, True)
    for broken in (False, True)
}


class _Design(NamedTuple):
    """A comparison.

    Attributes:
        prompts, repeats: how many, of each side.
        decided: prompts nearly always, or nearly never, lead to a call.
        missed: share of the vendor's calls that become texts.
        spoiled: share of its calls that are not valid.
    """

    prompts: int
    repeats: int
    decided: bool
    missed: float = 0.0
    spoiled: float = 0.0


def tool_call_cases() -> list[Case]:
    """Equal vendors at several sizes, then those with faults."""
    cases: list[Case] = []
    for prompts, repeats in ((20, 2), (40, 4), (200, 2)):
        for decided in (False, True):
            design = _Design(prompts, repeats, decided)
            words = f"{prompts} × {repeats}" + (", decided" if decided else "")
            cases.append(_case("equal vendors", words, partial(_alarms, design), FALSE))
            promise = COVERAGE if prompts >= 40 else None
            cases.append(_case("F1 of equal vendors", words, partial(_coverage, design), promise))
            for row, fault in (("a tenth missed", "missed"), ("a tenth spoiled", "spoiled")):
                faulty = design._replace(**{fault: 0.1})
                cases.append(_case(row, words, partial(_alarms, faulty), None))
    return cases


def _case(row: str, column: str, measure: partial[Outcome], promise: Promise | None) -> Case:
    return Case("tool_calls", row, column, measure, promise)


def _chances(design: _Design, rng: np.random.Generator) -> np.ndarray:
    if design.decided:
        return rng.choice([0.02, 0.97], design.prompts)
    return rng.uniform(0.1, 0.9, design.prompts)


def _answers(
    chances: np.ndarray, repeats: int, missed: float, spoiled: float, rng: np.random.Generator
) -> list[list[CallOutput]]:
    """The answers to each prompt."""
    called = rng.random((chances.size, repeats)) < chances[:, None] * (1.0 - missed)
    broken = rng.random(called.shape) < 0.02 + spoiled
    return [
        [_OUTPUTS[bool(c), bool(b)] for c, b in zip(*lines, strict=True)]
        for lines in zip(called, broken, strict=True)
    ]


def _alarms(design: _Design, rng: np.random.Generator, runs: int) -> Outcome:
    runs = min(runs, 400)
    found = 0
    for _ in range(runs):
        chances = _chances(design, rng)
        reference = _answers(chances, design.repeats, 0.0, 0.0, rng)
        vendor = _answers(chances, design.repeats, design.missed, design.spoiled, rng)
        prompts = [
            PromptAnswers(n, *both) for n, both in enumerate(zip(vendor, reference, strict=True))
        ]
        flips = stats.SignFlips()
        flips.add(call_rates(prompts, design.prompts))
        flips.add(valid_rates(prompts, design.prompts))
        paired = [None if np.isnan(p) else float(p) for p in flips.tests().p]
        p = smallest_of([*paired, decisions_p(prompts, 0, 10**9)])
        found += p is not None and p < stats.ALPHA
    return Outcome(hits=found, runs=runs)


def _coverage(design: _Design, rng: np.random.Generator, runs: int) -> Outcome:
    """F1 over the prompts that could have been drawn: E[c²] / E[c] of equal vendors."""
    if design.decided:
        truth = (0.02**2 + 0.97**2) / (0.02 + 0.97)
    else:
        truth = (np.mean(np.linspace(0.1, 0.9, 4001) ** 2)) / 0.5
    hits = defined = 0
    for _ in range(runs):
        chances = _chances(design, rng)
        sides = [_answers(chances, design.repeats, 0.0, 0.0, rng) for _ in range(2)]
        a, b = (np.array([share_called(outputs) for outputs in side]) for side in sides)
        counts = stats.ClassCounts(np.arange(design.prompts), a * b, a, b)
        ends = stats.class_figures(counts).f1.ci95
        if ends is not None:
            defined += 1
            hits += ends[0] <= truth <= ends[1]
    return Outcome(hits=hits, runs=defined, undefined=runs - defined)
