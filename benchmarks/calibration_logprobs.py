"""Distances of log probabilities: false alarms, coverage of the excess, and what is found.

Each output to a prompt has the tokens and log probabilities of one model, with a normal error of
each that is new in every output; of a sampled model the outputs part at a random place. The second
side may have an error of its own that belongs to the token. The truth of the excess is that of
normal errors: mean |N(0, 2 noise² + shift²)| less mean |N(0, 2 noise²)|.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from benchmarks.calibration_cells import COVERAGE, FALSE, Case, Outcome, Promise
from evalharness.analysis import stats
from evalharness.analysis.data.encode import Floats
from evalharness.analysis.equality.kernel import PromptKernel
from evalharness.analysis.equality.permutation_test import equality_test
from evalharness.analysis.logprobs.figures import distance_matrix
from evalharness.analysis.logprobs.pair_distance import pair_distance
from evalharness.analysis.logprobs.token_output import TokenOutput

_DRAWS = 999
_LENGTH = 24
_NOISE = 0.02


class _Design(NamedTuple):
    """A comparison.

    Attributes:
        prompts, repeats: how many, of each side.
        shift: standard deviation of the second side's own error.
        parts: whether outputs part after some tokens, as sampled ones do.
        uneven: whether prompts differ in their noise by a factor of up to ten.
    """

    prompts: int
    repeats: int
    shift: float = 0.0
    parts: bool = False
    uneven: bool = False


def logprob_cases() -> list[Case]:
    """Equal models at several sizes, then those that are not."""
    cases: list[Case] = []
    for prompts, repeats in ((6, 2), (12, 3), (50, 2)):
        for parts in (False, True):
            for uneven in (False, True):
                design = _Design(prompts, repeats, parts=parts, uneven=uneven)
                cases.append(_case("equal models", design, _alarms, FALSE))
    for prompts, repeats in ((12, 3), (50, 2)):
        for uneven in (False, True):
            design = _Design(prompts, repeats, shift=0.03, uneven=uneven)
            cases.append(_case("excess of a shift of 0.03", design, _coverage, COVERAGE))
            cases.append(_case("found, a shift of 0.03", design, _alarms, None))
    return cases


def _case(
    row: str,
    design: _Design,
    measure: Callable[[_Design, np.random.Generator, int], Outcome],
    promise: Promise | None,
) -> Case:
    words = f"{design.prompts} × {design.repeats}"
    words += ", sampled" if design.parts else ""
    words += ", uneven noise" if design.uneven else ""
    return Case("logprobs", row, words, partial(measure, design), promise)


def _alarms(design: _Design, rng: np.random.Generator, runs: int) -> Outcome:
    runs = min(runs, 400)
    found = 0
    for _ in range(runs):
        kernels, _ = _simulate(design, rng)
        found += equality_test(kernels, draws=_DRAWS).p < stats.ALPHA
    return Outcome(hits=found, runs=runs)


def _coverage(design: _Design, rng: np.random.Generator, runs: int) -> Outcome:
    runs = min(runs, 400)
    hits = defined = 0
    for _ in range(runs):
        kernels, truth = _simulate(design, rng)
        test = equality_test(kernels, draws=_DRAWS)
        flips = stats.SignFlips()
        flips.add(test.mmd2 / 2.0, bounded=False, p=test.p)
        ends = flips.tests().interval(0)
        if ends is not None:
            defined += 1
            hits += ends[0] <= truth <= ends[1]
    return Outcome(hits=hits, runs=defined, undefined=runs - defined)


def _simulate(design: _Design, rng: np.random.Generator) -> tuple[list[PromptKernel], float]:
    """The kernels of a comparison, and the excess over the prompts that could have been drawn."""
    kernels: list[PromptKernel] = []
    for _ in range(design.prompts):
        noise = _NOISE * (10.0 ** rng.uniform(-0.5, 0.5) if design.uneven else 1.0)
        model = -rng.exponential(1.0, _LENGTH) - 1.0
        other = model + rng.normal(0.0, 1.0, _LENGTH) * design.shift
        outputs = [
            _output(side, noise, design, rng)
            for side in (model, other)
            for _ in range(design.repeats)
        ]
        distances = [[pair_distance(a, b) for b in outputs] for a in outputs]
        matrix = distance_matrix(distances)
        assert matrix is not None  # the first token is always the same
        kernels.append(PromptKernel(1.0 - matrix, design.repeats))
    return kernels, _excess(design)


def _output(model: Floats, noise: float, design: _Design, rng: np.random.Generator) -> TokenOutput:
    tokens = [str(place) for place in range(_LENGTH)]
    if design.parts:
        place = int(rng.integers(1, _LENGTH))
        tokens[place] = f"other {rng.integers(1_000_000)}"
    logprobs = model + rng.normal(0.0, noise, _LENGTH)
    return TokenOutput(tokens, logprobs, [{} for _ in tokens])


def _excess(design: _Design) -> float:
    """Mean over the noises that a prompt may have."""
    exponents = np.linspace(-0.5, 0.5, 2001) if design.uneven else np.zeros(1)
    noises = _NOISE * 10.0**exponents
    across = np.sqrt(2.0 * noises**2 + design.shift**2)
    return float(np.mean(across - np.sqrt(2.0) * noises)) * math.sqrt(2.0 / math.pi)
