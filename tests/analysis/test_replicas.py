"""Figures of single servers, against the formulas written out and those of the whole load."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.analysis.busy_time import BusyTime
from evalharness.analysis.replicas import (
    ATTEMPT_COLUMNS,
    RECORD_COLUMNS,
    ReplicaData,
    ReplicaPoint,
    replica_data,
)
from evalharness.schema import arrow_schema

TIMES = st.lists(st.tuples(st.floats(0, 50), st.floats(0, 9)), min_size=1, max_size=30)


def _table(name: str, columns: tuple[str, ...], rows: list[dict[str, Any]]) -> pa.Table:
    schema = pa.schema([arrow_schema(name).field(column) for column in columns])
    return pa.Table.from_pylist([{**dict.fromkeys(columns), **row} for row in rows], schema)


def _data(rows: list[dict[str, Any]], **point: Any) -> ReplicaData:
    """Of requests that are attempts and records alike."""
    whole = [
        {"setting_id": "s", "prompt_id": f"p{n % 12}", "status": "ok", **row}
        for n, row in enumerate(rows)
    ]
    kept = [{k: v for k, v in row.items() if k in ATTEMPT_COLUMNS} for row in whole]
    data = replica_data([
        ReplicaPoint(
            _table("records", RECORD_COLUMNS, whole), _table("attempts", ATTEMPT_COLUMNS, kept),
            **point,
        )
    ])  # fmt: skip
    assert data is not None
    return data


def _row(replica: str | None, sent: float, latency: float, **more: Any) -> dict[str, Any]:
    at = 1_700_000_000 * 10**9 + round(sent * 1e9)
    return {
        "replica": replica,
        "sent_at": at,
        "latency_s": latency,
        "completion_tokens": 10,
        **more,
    }


def test_figures_of_a_batch_count_the_time_in_which_there_were_requests() -> None:
    # Two requests at once for 2 s, an hour of nothing, one request for 2 s.
    rows = [_row("a", 0, 2), _row("b", 0, 2), _row("a", 3600, 2), _row(None, 10, 0)]
    a, b = _data(rows).servers
    assert (a.attempts, b.attempts, a.answers, b.answers) == (2, 1, 2, 1)
    assert (a.share, b.share) == (pytest.approx(2 / 3), pytest.approx(1 / 3))
    assert (a.in_flight, b.in_flight) == (pytest.approx(1), pytest.approx(0.5))
    assert (a.output_tokens_per_s, b.output_tokens_per_s) == (pytest.approx(5), pytest.approx(2.5))
    assert (a.latency_s.n, a.latency_s.p50) == (2, 2.0)


def test_warm_up_is_in_flight_and_in_no_other_figure() -> None:
    begin = 1_700_000_000.0
    rows = [
        _row("a", 0, 4, phase="warmup"), _row("a", 2, 2, phase="measured"),
        _row("b", 2, 1, phase="measured", status="error"),
    ]  # fmt: skip
    a, b = _data(rows, label="x", measurement=1, window=(begin + 2, begin + 6)).servers
    assert (a.attempts, a.answers, a.latency_s.n) == (1, 1, 1)
    assert (b.failed, b.failed_share, b.answers, b.latency_s.p50) == (1, 1.0, 0, None)
    assert (a.in_flight, b.in_flight) == (pytest.approx(1.0), pytest.approx(0.25))
    assert a.output_tokens_per_s == pytest.approx(20 / 4)


def test_what_is_unknown_is_no_zero() -> None:
    (a,) = _data([_row("a", 0, 2), _row("a", 1, 2, completion_tokens=None)]).servers
    assert a.output_tokens_per_s is None
    assert a.ttft_s.p50 is None


@pytest.mark.parametrize(("slower", "apart"), [(1.0, 0), (1.5, 1)])
def test_two_servers_differ_where_one_is_slower(slower: float, apart: int) -> None:
    rng = np.random.default_rng(7)
    latencies = rng.lognormal(0.0, 0.1, 600)
    rows = [
        _row("ab"[n % 2], n, float(value) * (slower if n % 2 else 1.0))
        for n, value in enumerate(latencies)
    ]
    data = _data(rows)
    assert data.comparisons == 1
    assert len(data.differences) == apart
    if apart:
        assert (data.differences[0].faster, data.differences[0].slower) == ("a", "b")


def test_alike_servers_are_rarely_told_apart() -> None:
    """Sixteen servers, 120 pairs: at most 5 % of runs may tell any two apart."""
    rng = np.random.default_rng(1)
    alarms = 0
    for _ in range(40):
        values = rng.lognormal(0.0, 0.5, 640)
        rows = [_row(f"s{n % 16:02d}", n, float(value)) for n, value in enumerate(values)]
        alarms += bool(_data(rows).differences)
    assert alarms <= 4


@given(times=TIMES)
def test_busy_time_is_where_somebody_waits(times: list[tuple[float, float]]) -> None:
    sent, took = np.array(times).T
    busy = BusyTime.of(sent, sent + took)
    moments = np.linspace(0, 60, 6001)
    covered = ((sent[:, None] <= moments) & (moments < (sent + took)[:, None])).any(axis=0)
    assert busy.seconds == pytest.approx(covered.sum() * 0.01, abs=0.02 * len(times))
    each = busy.in_flight(sent, sent + took)
    if each is not None:
        assert each.mean() * busy.seconds == pytest.approx(took.sum(), rel=1e-6, abs=1e-6)


@given(times=TIMES, begin=st.floats(0, 30), length=st.floats(1, 30))
def test_in_a_window_requests_count_as_long_as_they_overlap_it(
    times: list[tuple[float, float]], begin: float, length: float
) -> None:
    sent, took = np.array(times).T
    each = BusyTime.within(begin, begin + length).in_flight(sent, sent + took)
    overlap = np.minimum(sent + took, begin + length) - np.maximum(sent, begin)
    assert each is not None
    assert each.mean() == pytest.approx(np.maximum(overlap, 0).sum() / length, abs=1e-9)
