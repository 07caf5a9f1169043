"""Comparisons of rates of load points: over stretches of time, and by the verdicts of searches."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from msgspec import structs
from scipy import stats as reference

from evalharness.analysis.comparison.compare import compare_runs
from evalharness.analysis.comparison.comparison import Comparison
from evalharness.analysis.comparison.matching import find_pairs
from evalharness.analysis.comparison.metric_change import metric_change
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.join_runs import JoinedRuns
from evalharness.analysis.data.rate_samples import RateSample
from evalharness.cli.check.allowances import REGRESSION, read_allowances
from evalharness.cli.check.changes import limit_verdict
from tests.analysis.record_frames import frame_of

THROUGHPUT, SATURATION = "throughput_per_s", "saturation_per_s"


def _frame(metric: str, sample: RateSample) -> RunFrame:
    frame = frame_of([{"prompt_id": f"p{i}", "text": "yes"} for i in range(3)])
    return structs.replace(frame, rates={metric: {frame.setting_ids[0]: sample}})


def _stretches(values: Any) -> RateSample:
    data = np.asarray(values, np.float64)
    return RateSample(value=float(data.mean()), stretches=data, n=int(data.sum()))


def _search(low: float, high: float | None) -> RateSample:
    return RateSample(value=low, stretches=None, n=4, high=high)


def _row(metric: str, a: RateSample, b: RateSample) -> Comparison:
    (row,) = compare_runs({"b": _frame(metric, b), "a": _frame(metric, a)}, metrics=[metric])
    return row


def test_throughput_is_tested_as_by_welch() -> None:
    """The interval and p of scipy, over stretches; what is of prompts is null."""
    rng = np.random.default_rng(1)
    a, b = rng.poisson(9, 20), rng.poisson(5, 20)
    row = _row(THROUGHPUT, _stretches(a), _stretches(b))
    theirs: Any = reference.ttest_ind(a, b, equal_var=False)
    assert row.p == pytest.approx(theirs.pvalue)
    assert row.ci95 == pytest.approx(list(theirs.confidence_interval()))
    assert (row.unit, row.n, row.counted) == ("time", 20, [int(a.sum()), int(b.sum())])
    assert row.wins is row.correlation is row.repeats is None
    assert "no prompt" not in row.sentence
    assert "n=20 stretches of time a side" in row.sentence


def test_equal_rates_are_seldom_said_to_differ() -> None:
    """Answers of one Poisson process on both sides: at most 5 % false alarms (here of 400)."""
    rng = np.random.default_rng(7)
    alarms = 0
    for _ in range(400):
        p = _row(THROUGHPUT, *(_stretches(rng.poisson(4, 20)) for _ in range(2))).p
        alarms += p is not None and p < 0.05
    assert alarms <= 30  # 20 expected, and three standard errors of chance


def test_a_steady_rate_has_no_interval() -> None:
    row = _row(THROUGHPUT, _stretches([3.0] * 20), _stretches([2.0] * 20))
    assert (row.difference, row.ci95, row.p) == (1.0, None, None)
    assert not row.is_detected


def test_settings_that_share_a_load_point_have_no_difference() -> None:
    """One rate of both is none of either."""
    shared = _stretches([3.0, 4.0] * 10)
    frames = {name: _frame(THROUGHPUT, shared) for name in "ab"}
    assert compare_runs(frames, metrics=[THROUGHPUT]) == []


def _two_points_of(settings: int, *points: RateSample) -> RunFrame:
    """Each load point shared by so many temperatures."""
    shared = [(rate, t) for rate in range(len(points)) for t in range(settings)]
    named = [
        {
            "setting_id": f"{rate}-{t}",
            "params_json": json.dumps({"temperature": t}),
            "axes_json": json.dumps({"load.rate": rate, "temperature": t}),
        }
        for rate, t in shared
    ]
    rows = [{"prompt_id": "p", "setting_id": s["setting_id"], "text": "yes"} for s in named]
    frame = frame_of(rows, settings=named)
    rates = {f"{rate}-{t}": points[rate] for rate, t in shared}
    return structs.replace(frame, rates={THROUGHPUT: rates})


def test_a_load_point_counts_once_however_many_settings_share_it() -> None:
    """The mean of two points a side: errors add in squares, for one setting as for six."""
    rng = np.random.default_rng(3)
    samples = [_stretches(rng.poisson(mean, 20)) for mean in (4, 8, 4, 8)]
    rows: list[Comparison] = []
    for settings in (1, 6):
        frames = {
            "b": _two_points_of(settings, *samples[2:]),
            "a": _two_points_of(settings, *samples[:2]),
        }
        found = compare_runs(frames, metrics=[THROUGHPUT])
        rows += [row for row in found if row.pooled]
    alone, shared = rows
    errors = [float(np.var(s.stretches, ddof=1)) / 20 for s in samples if s.stretches is not None]
    assert shared.ci95 is not None
    half = (shared.ci95[1] - shared.ci95[0]) / 2
    assert half == pytest.approx(1.99 * np.sqrt(sum(errors)) / 2, rel=0.02)
    assert (shared.ci95, shared.p, shared.mde) == (alone.ci95, alone.p, alone.mde)
    assert (shared.n, shared.counted) == (alone.n, alone.counted)
    assert shared.n == 40


def test_a_point_against_several_weighs_as_often_as_it_is_used() -> None:
    """One shared point a, own points b: a's error is not divided by the number of settings."""
    rng = np.random.default_rng(4)
    shared, *own = (_stretches(rng.poisson(6, 20)) for _ in range(4))
    frames = {"b": _two_points_of(1, *own), "a": _two_points_of(1, *[shared] * 3)}
    (row,) = [each for each in compare_runs(frames, metrics=[THROUGHPUT]) if each.pooled]
    assert shared.stretches is not None
    errors = [float(np.var(s.stretches, ddof=1)) / 20 for s in own if s.stretches is not None]
    error = np.sqrt(float(np.var(shared.stretches, ddof=1)) / 20 + sum(errors) / 9)
    assert row.ci95 is not None
    assert (row.ci95[1] - row.ci95[0]) / 2 == pytest.approx(2.0 * error, rel=0.04)
    assert row.difference == pytest.approx(shared.value - float(np.mean([s.value for s in own])))
    assert (row.n, row.counted and row.counted[0]) == (20, shared.n)


def test_a_search_has_bounds_of_verdicts_and_no_interval() -> None:
    """What two brackets leave possible; a missing upper end leaves that side open."""
    row = _row(SATURATION, _search(20.0, 25.0), _search(10.0, 12.0))
    assert (row.difference, row.bounds) == (10.0, [8.0, 15.0])
    assert (row.ci95, row.p, row.n, row.unit) == (None, None, 4, "search")
    assert "between +8 and +15 requests/s by the verdicts" in row.sentence
    assert _row(SATURATION, _search(20.0, None), _search(10.0, 12.0)).bounds == [8.0, None]


@pytest.mark.parametrize(("now", "holds"), [(10.0, True), (8.0, False)])
def test_a_fall_of_throughput_is_a_regression(now: float, *, holds: bool) -> None:
    """Shown as a fall, with the ends of its interval in order; a rise never fails."""
    wave = np.tile([-0.5, 0.5], 10)
    samples = {"b": _stretches(10.0 + wave), "a": _stretches(now + wave)}
    joined = JoinedRuns.of({name: _frame(THROUGHPUT, each) for name, each in samples.items()})
    (pair,) = find_pairs(joined.columns, "run", "b")
    (limit,) = read_allowances(REGRESSION, ["throughput=10%"])
    verdict = limit_verdict(limit, "m", joined, pair, confident=False)
    assert verdict.holds is holds
    assert ("(-20 %, 95 % interval -2" in verdict.sentence) is not holds
    change = metric_change(joined, pair, THROUGHPUT)
    assert change is not None
    assert change.ratio_ci95 is not None
    assert change.ratio_ci95[0] < now / 10 < change.ratio_ci95[1]


def test_confidence_in_a_search_is_never_claimed() -> None:
    samples = {"b": _search(10.0, 12.0), "a": _search(20.0, 25.0)}
    joined = JoinedRuns.of({name: _frame(SATURATION, each) for name, each in samples.items()})
    (pair,) = find_pairs(joined.columns, "run", "b")
    (limit,) = read_allowances(REGRESSION, ["saturation=10%"])
    assert limit_verdict(limit, "m", joined, pair, confident=False).holds
    verdict = limit_verdict(limit, "m", joined, pair, confident=True)
    assert not verdict.holds
    assert "a search gives bounds of verdicts" in verdict.sentence
