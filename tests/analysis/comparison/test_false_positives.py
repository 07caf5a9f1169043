"""No true difference, asked of ``compare`` itself: at most 5 % are called detected."""

from __future__ import annotations

import numpy as np
import pytest

from evalharness.analysis.comparison.compare import compare
from tests.analysis.setting_frames import frame, score_rows

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
            rows += score_rows(
                name, {f"p{i}": row.astype(float).tolist() for i, row in enumerate(drawn)}
            )
        run = frame({"s0": {"temperature": 0}, "s1": {"temperature": 1}}, rows)
        for row in compare(run, by="temperature", metrics=["score"], draws=999):
            tests += 1
            found += row.p is not None and row.p < 0.05
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
            rows += score_rows(
                name, {f"p{i}": row.astype(float).tolist() for i, row in enumerate(drawn)}
            )
        run = frame({"s0": {"temperature": 0}, "s1": {"temperature": 1}}, rows)
        found += compare(run, by="temperature", metrics=["score"], draws=999)[0].p < 0.05
    assert found >= 19
