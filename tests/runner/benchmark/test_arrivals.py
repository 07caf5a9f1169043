"""Schedules: exact where they are fixed, of the right distribution where they are random."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from evalharness.config.models import LoadConfig
from evalharness.runner.benchmark.arrivals import arrivals


def take(count: int, **load: object) -> np.ndarray:
    return np.array(list(itertools.islice(arrivals(LoadConfig(**load)), count)))  # pyright: ignore


@given(
    st.sampled_from(["constant", "poisson", "gamma"]),
    st.floats(0.01, 1e4),
    st.floats(0.05, 20),
    st.integers(0, 2**32),
)
def test_instants_ascend_and_follow_from_the_seed(
    arrival: str, rate: float, burstiness: float, seed: int
) -> None:
    load = {"arrival": arrival, "rate": rate, "burstiness": burstiness, "seed": seed}
    at = take(300, **load)
    assert (np.diff(at) >= 0).all()
    assert at[0] >= 0
    assert (take(300, **load) == at).all()


def test_constant_instants_do_not_add_up_rounding() -> None:
    """The millionth is exactly where it belongs: i / rate, no sum of gaps."""
    at = take(1_000_001, arrival="constant", rate=7)
    assert at[1_000_000] == 1_000_000 / 7


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("load", "shape"),
    [
        ({"arrival": "poisson", "rate": 20.0}, 1.0),
        ({"arrival": "gamma", "rate": 3.0, "burstiness": 0.25}, 0.25),
        ({"arrival": "gamma", "rate": 50.0, "burstiness": 4.0}, 4.0),
    ],
)
def test_gaps_have_the_distribution_asked_for(
    load: dict[str, object], shape: float, seed: int
) -> None:
    """Kolmogorov-Smirnov at 0.001 against the gamma of mean 1/rate; seeds make it repeatable."""
    rate = float(load["rate"])  # pyright: ignore
    gaps = np.diff(take(20_001, **load, seed=seed))
    assert stats.kstest(gaps, stats.gamma(shape, scale=1 / (rate * shape)).cdf).pvalue > 1e-3
    cv = 1 / math.sqrt(shape)
    assert abs(gaps.mean() * rate - 1) < 4 * cv / math.sqrt(len(gaps))
    assert abs(gaps.std() / gaps.mean() - cv) < 0.1 * cv
    # Independent gaps: no correlation from one to the next.
    assert abs(np.corrcoef(gaps[:-1], gaps[1:])[0, 1]) < 4 / math.sqrt(len(gaps))


def test_poisson_counts_in_windows_have_the_variance_of_a_poisson() -> None:
    at = take(60_000, arrival="poisson", rate=10.0, seed=3)
    counts = np.histogram(at, np.arange(0, at[-1], 1.0))[0]
    assert counts.var() / counts.mean() == pytest.approx(1, abs=0.1)


@given(st.floats(0, 50), st.floats(0.1, 50), st.floats(1, 100))
def test_a_ramp_has_the_count_its_area_says(first: float, last: float, seconds: float) -> None:
    load = LoadConfig(arrival="ramp", start_rate=first, rate=last, duration_s=seconds)
    at = np.array(list(arrivals(load)))
    assert len(at) == pytest.approx((first + last) / 2 * seconds, abs=1.01)
    assert (np.diff(at) > 0).all()
    assert (at < seconds).all()
    half = (first + (first + last) / 2) / 2 * seconds / 2
    assert (at < seconds / 2).sum() == pytest.approx(half, abs=1.01)


def test_a_replay_keeps_the_recorded_gaps_at_its_speed() -> None:
    load = LoadConfig(arrival="replay", column="t", speed=4)
    assert list(arrivals(load, trace=[0, 1, 1, 6])) == [0, 0.25, 0.25, 1.5]
