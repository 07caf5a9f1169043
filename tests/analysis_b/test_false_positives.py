"""No true difference, asked of ``compare`` itself: at most 5 % are called real."""

from __future__ import annotations

import numpy as np
import pytest

from evalharness.analysis.comparison.compare import compare
from evalharness.analysis.quality import Kinds, g_pass_curves, pass_curves
from evalharness.analysis.stats import g_pass_at_k, pass_at_k, pass_hat_k
from evalharness.analysis.stats.bootstrap import bca_mean
from tests.analysis_b.frames import frame, scored

RUNS, PROMPTS = 120, 15
# 5 % and three Monte-Carlo standard errors of 120 simulated runs.
MOST = RUNS * 0.05 + 3 * (RUNS * 0.05 * 0.95) ** 0.5


@pytest.mark.parametrize("repeats", [1, 5, 10])
def test_equal_settings_are_rarely_called_different(repeats: int) -> None:
    """Two settings with one chance of success a prompt: p < 0.05 in no more than 5 % of runs."""
    rng = np.random.default_rng(repeats)
    found = tests = 0
    for _ in range(RUNS):
        chance = rng.beta(1.0, 1.0, PROMPTS)
        rows = []
        for name in ("s0", "s1"):
            drawn = rng.random((PROMPTS, repeats)) < chance[:, None]
            rows += scored(
                name, {f"p{i}": row.astype(float).tolist() for i, row in enumerate(drawn)}
            )
        run = frame({"s0": {"temperature": 0}, "s1": {"temperature": 1}}, rows)
        for row in compare(run, by="temperature", metrics=["score"], draws=999):
            tests += 1
            found += row["p"] is not None and row["p"] < 0.05
    assert tests == RUNS
    assert found <= MOST


def test_a_true_difference_is_found() -> None:
    """The same simulation with 0.2 against 0.9 calls nearly every run different."""
    rng = np.random.default_rng(9)
    found = 0
    for _ in range(20):
        rows = []
        for name, chance in (("s0", 0.2), ("s1", 0.9)):
            drawn = rng.random((PROMPTS, 5)) < chance
            rows += scored(
                name, {f"p{i}": row.astype(float).tolist() for i, row in enumerate(drawn)}
            )
        run = frame({"s0": {"temperature": 0}, "s1": {"temperature": 1}}, rows)
        found += compare(run, by="temperature", metrics=["score"], draws=999)[0]["p"] < 0.05
    assert found >= 19


def test_kept_resamples_give_the_same_interval_every_time() -> None:
    """Same values and seed, same bits, whatever was asked in between and in whatever order."""
    rng = np.random.default_rng(3)
    values = rng.lognormal(size=60)
    first = bca_mean(values, level=0.95, seed=0)
    for n in range(50, 58):  # more sizes than are kept
        bca_mean(rng.normal(size=n), level=0.95, seed=0)
    assert bca_mean(values[::-1].copy(), level=0.95, seed=0) == first
    assert bca_mean(values, level=0.95, seed=1) != first


def test_pass_curves_are_those_of_the_statistics() -> None:
    """Mean over prompts with enough repeats, for pass^k, pass@k and G-Pass@k alike."""
    right, scored_ = np.array([3, 1, 0, 2]), np.array([4, 4, 4, 2])
    kinds = Kinds.of(right, scored_)
    hat, at = pass_curves(kinds, 4)
    g = g_pass_curves(kinds, 4)
    for k in range(1, 5):
        enough = scored_ >= k
        for curve, value in (
            (hat, pass_hat_k(scored_, right, k)), (at, pass_at_k(scored_, right, k)),
            (g["0.5"], g_pass_at_k(scored_, right, k, 0.5)),
            (g["0.75"], g_pass_at_k(scored_, right, k, 0.75)), (g["1"], hat[str(k)]),
        ):  # fmt: skip
            wanted = value if isinstance(value, float) else float(np.mean(value[enough]))
            assert curve[str(k)] == pytest.approx(wanted)
