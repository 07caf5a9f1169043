"""Resampled intervals: the same values and seed give the same bits."""

from __future__ import annotations

import numpy as np

from evalharness.analysis.stats.bootstrap import bca_mean


def test_kept_resamples_give_the_same_interval_every_time() -> None:
    """Same values and seed, same bits, whatever was asked in between and in whatever order."""
    rng = np.random.default_rng(3)
    values = rng.lognormal(size=60)
    first = bca_mean(values, level=0.95, seed=0)
    for n in range(50, 58):  # more sizes than are kept
        bca_mean(rng.normal(size=n), level=0.95, seed=0)
    assert bca_mean(values[::-1].copy(), level=0.95, seed=0) == first
    assert bca_mean(values, level=0.95, seed=1) != first
