"""Slopes over an ordered axis."""

from __future__ import annotations

import numpy as np
import pytest

from evalharness.analysis import stats
from evalharness.analysis.comparison.trend import CochranTest
from evalharness.analysis.comparison.trends import slopes_over, trends
from tests.analysis.setting_frames import frame, score_rows


def _random(seed: int, prompts: int, repeats: int, rate: float = 0.6) -> dict[str, list[float]]:
    draws = np.random.default_rng(seed).random((prompts, repeats)) < rate
    return {f"q{i:03}": [float(x) for x in row] for i, row in enumerate(draws)}


def test_slopes_are_adjusted_over_the_strata() -> None:
    """Two strata of a metric are one family; a single one is not adjusted."""
    rng = np.random.default_rng(4)
    settings = {
        f"{t}-{p}": {"temperature": t, "top_p": p} for t in (0, 0.5, 1.0) for p in (0.5, 1.0)
    }
    rows = [
        row
        for name in settings
        for row in score_rows(name, {f"p{i}": rng.random(2).tolist() for i in range(12)})
    ]
    found = trends(frame(settings, rows), by="temperature", metrics=["score"])
    raw = sorted(row.p for row in found)
    assert sorted(row.p_adjusted for row in found) == [
        min(1.0, 2 * raw[0]), min(1.0, max(2 * raw[0], raw[1]))
    ]  # fmt: skip
    assert all(row.family == 2 and "adjusted for 2" in row.sentence for row in found)


def test_slope_over_an_ordered_axis() -> None:
    """Scores that rise by 0.2 per unit on every prompt have that slope, and a p that sees it."""
    settings = {f"t{t}": {"temperature": t} for t in (0, 1, 2)}
    rows = [
        row
        for t in (0, 1, 2)
        for row in score_rows(f"t{t}", {f"q{i}": [0.1 * (i % 4) + 0.2 * t] for i in range(10)})
    ]
    rows += score_rows("t0", {"half": [1.0]})
    (found,) = [r for r in trends(frame(settings, rows), by="temperature") if r.metric == "score"]
    assert found.slope == pytest.approx(0.2)
    assert (found.n, found.dropped) == (10, 1)
    assert found.p == pytest.approx(2 / 2**10)
    assert [at for at, _ in found.points] == [0.0, 1.0, 2.0]
    assert "+20.0 pp per unit" in found.sentence


def test_pass_fail_trend_has_cochrans_q() -> None:
    """One pass/fail outcome under three settings gets the omnibus test as well."""
    settings = {f"t{t}": {"temperature": t} for t in (0, 1, 2)}
    outcomes = _random(0, 30, 3)
    rows = [
        r for t in (0, 1, 2) for r in score_rows(f"t{t}", {q: [v[t]] for q, v in outcomes.items()})
    ]
    (found,) = [r for r in trends(frame(settings, rows), by="temperature") if r.metric == "score"]
    expected = stats.cochran_q(np.array(list(outcomes.values())))
    assert expected is not None
    assert found.cochran_q == CochranTest(*expected[:2])


def test_what_is_alike_everywhere_has_no_slope() -> None:
    """18.3 at every setting is a slope of 0, not one of 1e-14 with a direction."""
    table = np.tile(np.array([[18.3], [0.1], [7.7]]), 3)
    assert slopes_over(np.array([0.3, 0.8, 1.0]), table).tolist() == [0.0, 0.0, 0.0]
