"""Lengths drawn from a distribution, the same with one seed on every machine."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from itertools import accumulate
from statistics import NormalDist

from evalharness.config.workload import Lengths
from evalharness.errors import DatasetError

#: Tokens; no model has a longer context.
LONGEST = 20_000_000
_TRIES = 1_000
_MOST_EXPONENT = 700.0  # its exponential is the largest that a float holds, by far too long
_STANDARD = NormalDist()


def draw_length(lengths: Lengths, draw: random.Random, key: str) -> int:
    """A length in tokens, at least 1.

    Args:
        lengths: the distribution.
        draw: gives even random numbers, which Python's documentation promises to keep.
        key: the configuration's, for messages.

    Raises:
        DatasetError: hardly any length is within the bounds.
    """
    sample = _sampler(lengths, draw)
    high = LONGEST if lengths.high is None else min(lengths.high, LONGEST)
    for _ in range(_TRIES):
        length = round(sample())
        if lengths.low <= length <= high:
            return length
    raise DatasetError(
        f"{key}: fewer than one length in {_TRIES} is from {lengths.low} to {high}",
        hint="other bounds, or another distribution",
    )


def _sampler(lengths: Lengths, draw: random.Random) -> Callable[[], float]:
    first = lengths.numbers[0]
    if lengths.kind == "fixed":
        return lambda: first
    if lengths.kind == "histogram":
        return _histogram(lengths.numbers, lengths.weights, draw)
    spread = lengths.numbers[1]
    if lengths.kind == "normal":
        return lambda: first + spread * _normal(draw)
    return lambda: math.exp(min(math.log(first) + spread * _normal(draw), _MOST_EXPONENT))


def _normal(draw: random.Random) -> float:
    """A standard normal number, by inversion of one even one."""
    return _STANDARD.inv_cdf(min(max(draw.random(), 1e-12), 1.0 - 1e-12))


def _histogram(
    bins: Sequence[float], weights: Sequence[float], draw: random.Random
) -> Callable[[], float]:
    """Lengths from an edge to below the next one, all alike."""
    ends = list(accumulate(weights))

    def sample() -> float:
        at = draw.random() * ends[-1]
        index = next(i for i, end in enumerate(ends) if at < end or i == len(ends) - 1)
        return math.floor(bins[index] + draw.random() * (bins[index + 1] - bins[index]))

    return sample
