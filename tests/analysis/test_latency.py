"""Latency: percentiles, their intervals, and nulls."""

from __future__ import annotations

import numpy as np
import pytest

from evalharness.analysis.latency import Durations, describe_durations
from tests.analysis.record_frames import frame_of, summary_of


def row(rows, **kwargs):
    return summary_of(frame_of(rows, **kwargs))[0]


def test_percentiles_interpolate():
    """1, 2, 3, 4 s: median 2.5 and 95th percentile 3.85, linear between neighbours."""
    result = describe_durations(np.array([4.0, 1.0, np.nan, 3.0, 2.0]), np.arange(5))
    assert result.p50 == 2.5
    assert result.p95 == pytest.approx(3.85)
    assert result.mean == 2.5
    assert result.n == 4


@pytest.mark.parametrize(("n", "known"), [(99, False), (100, True)])
def test_p99_needs_a_hundred_samples(n, known):
    """The 99th percentile is withheld below 100 samples."""
    assert (describe_durations(np.arange(float(n)), np.arange(n)).p99 is not None) is known


def test_latency_of_errors_is_left_out_and_none_is_null():
    """Only delivered answers have a latency; without any, every figure is null."""
    rows = [{"prompt_id": "p", "text": "x", "latency_s": 1.0}]
    rows += [{"prompt_id": "p", "status": "error", "latency_s": 9.0}]
    r = row(rows)
    assert r.latency_s.n == 1
    assert r.latency_s.p50 == 1.0
    assert r.ttft_s == Durations(p50=None, p95=None, p99=None, mean=None, n=0, ci95=None)


def test_percentiles_have_an_interval_where_there_are_enough_samples():
    """40 samples bound a median from both sides, and a 95th percentile from below alone."""
    ci95 = describe_durations(np.arange(40.0), np.arange(40)).ci95
    assert ci95.p50 == [13.0, 26.0]
    assert ci95.p95[0] == 34.0
    assert ci95.p95[1] is None
    assert ci95.p99 is None  # the percentile is withheld


def test_repeats_of_a_prompt_are_no_new_samples():
    """Ten equal repeats of eight prompts bound what eight prompts bound; clusters count as one."""
    rows = [
        {"prompt_id": f"q{i}", "repeat": k, "text": "x", "latency_s": 1.0 + i / 2}
        for i in range(8)
        for k in range(10)
    ]
    alone = row(rows).latency_s
    assert alone.p50 == 2.75
    assert alone.ci95.p50 == [1.0, 4.5]
    assert alone.ci95.p95[1] is None
    clusters = {f"q{i}": str(i // 4) for i in range(8)}
    assert row(rows, clusters=clusters).latency_s.ci95.p50 == [None, None]
