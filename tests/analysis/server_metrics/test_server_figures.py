"""Gauges by their readings, counters by their growth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.analysis.server_metrics.server_figures import (
    Samples,
    ServerFigure,
    Stretch,
    server_figures,
)

RUNNING, TOKENS = "vllm:num_requests_running", "vllm:generation_tokens_total"


def figures(readings: list[tuple[float, str, float]], *stretches: Stretch) -> list[ServerFigure]:
    at_s, metric, value = (list(column) for column in zip(*readings, strict=True))
    samples = Samples(np.array(at_s), ["server"] * len(at_s), metric, np.array(value))
    return server_figures(samples, stretches or (Stretch("run", 0.0, 100.0),))


def test_a_gauge_is_summed_over_models_and_averaged_over_readings() -> None:
    (row,) = figures([(1, RUNNING, 2), (1, RUNNING, 3), (2, RUNNING, 1), (2, RUNNING, 0)])
    assert (row.readings, row.mean, row.largest, row.p95) == (2, 3.0, 5.0, None)


def test_a_counter_survives_a_restart() -> None:
    """100 tokens, then the server begins at 0 again and shows 30."""
    (row,) = figures([(10, TOKENS, 50), (20, TOKENS, 150), (30, TOKENS, 30)])
    assert (row.growth, row.mean, row.largest) == (130.0, 6.5, None)


def test_stretches_and_gaps() -> None:
    readings = [(1, RUNNING, 4), (2, "", np.nan), (6, RUNNING, 8)]
    first, second = figures(readings, Stretch("a", 0, 5), Stretch("b", 5, 9))
    assert (first.stretch, first.mean, first.gaps) == ("a", 4.0, 1)
    assert (second.stretch, second.mean, second.gaps) == ("b", 8.0, 0)


def test_unknown_metrics_are_in_no_figure() -> None:
    assert figures([(1, "my_own_metric", 4)]) == []


@given(st.lists(st.floats(0, 1e9), min_size=2, max_size=30))
def test_growth_is_never_negative(values: list[float]) -> None:
    (row,) = figures([(float(i), TOKENS, value) for i, value in enumerate(values)])
    assert row.growth is not None
    assert row.growth >= 0
    if values == sorted(values):
        assert row.growth == pytest.approx(values[-1] - values[0], abs=1e-3)
