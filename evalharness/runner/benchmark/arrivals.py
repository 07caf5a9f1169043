"""Arrival times: when requests are due, in seconds from one anchor.

A schedule is a fixed list of instants that follows from the load and its seed alone. Neither a slow
server nor a late client moves the instants that follow.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from evalharness.config.models import LoadConfig

if TYPE_CHECKING:
    from numpy.random import Generator

_BLOCK = 1024


def arrivals(load: LoadConfig, *, trace: Sequence[float] = ()) -> Iterator[float]:
    """The instants of an open loop, ascending, in seconds from the anchor.

    ``constant``: i / rate. ``poisson``: sums of exponential gaps of mean 1 / rate. ``gamma``: sums
    of gamma gaps of shape ``burstiness`` and mean 1 / rate (coefficient of variation
    1 / √burstiness). ``ramp``: the instants at which the expected count
    r₀t + (r₁ - r₀)t² / 2T reaches 0, 1, 2, …, up to T = ``duration_s``. ``replay``: ``trace``
    divided by ``speed``. All but the last two are endless.

    Args:
        load: an open loop, checked.
        trace: seconds from the first row's, for ``replay``.
    """
    if load.arrival == "replay":
        return (at / load.speed for at in trace)
    rate = load.rate
    assert rate is not None, "an open loop has a rate"
    if load.arrival == "ramp":
        return _ramp(load.start_rate or 0.0, rate, load.duration_s or 0.0)
    if load.arrival == "constant":
        return _constant(rate)
    return _random(rate, 1.0 if load.arrival == "poisson" else load.burstiness, load.seed)


def _constant(rate: float) -> Iterator[float]:
    i = 0
    while True:
        yield i / rate
        i += 1


def _random(rate: float, shape: float, seed: int) -> Iterator[float]:
    import numpy as np

    rng: Generator = np.random.default_rng(seed)
    at = 0.0
    while True:
        for gap in rng.gamma(shape, 1.0 / (rate * shape), _BLOCK).tolist():
            at += gap
            yield at


def _ramp(first: float, last: float, seconds: float) -> Iterator[float]:
    slope = (last - first) / seconds
    i = 0
    while True:
        # The root of first·t + slope·t²/2 = i, in the form that also holds for a slope of 0.
        inside = first * first + 2.0 * slope * i
        if inside < 0.0:
            return
        below = first + math.sqrt(inside)
        at = 0.0 if i == 0 else 2.0 * i / below if below else math.inf
        if at >= seconds:
            return
        yield at
        i += 1
