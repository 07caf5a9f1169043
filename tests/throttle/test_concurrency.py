"""Concurrency that adapts to what replies say about load."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.records import ErrorKind
from evalharness.throttle.concurrency import (
    AdaptiveConcurrency,
    FixedConcurrency,
    Signal,
    signal_of,
)
from tests.throttle.replies import delivered, failed


def clean_round(limits: AdaptiveConcurrency, now: float, used: float = 1.0) -> None:
    for _ in range(limits.limit):
        before = limits.limit
        limits.observe(Signal.CLEAN, now, max(1, int(limits.limit * used)), now)
        if limits.limit != before:
            break


def test_slow_start_doubles_until_the_first_429():
    """Every clean round doubles the limit; after the first 429 a round adds 5 %."""
    limits = AdaptiveConcurrency(20, 1, 1_000)
    seen = []
    for second in range(3):
        clean_round(limits, float(second))
        seen.append(limits.limit)
    assert seen == [40, 80, 160]
    limits.observe(Signal.THROTTLED, 10.0, 160, 9.0)
    assert limits.limit == 128
    clean_round(limits, 30.0)
    assert limits.limit == 135
    assert [(c.limit, c.reason) for c in limits.history] == [
        (20, "start"),
        (40, "slow start"),
        (80, "slow start"),
        (160, "slow start"),
        (128, "429"),
        (135, "clean round"),
    ]


def test_one_cut_an_episode():
    """Many 429s within 15 s cut once; so do late ones of requests sent before the cut."""
    limits = AdaptiveConcurrency(100, 1, 100)
    for i in range(50):
        limits.observe(Signal.THROTTLED, i * 0.2, 100, i * 0.2)
    assert limits.limit == 80
    limits.observe(Signal.THROTTLED, 40.0, 80, -1.0)
    assert limits.limit == 80
    limits.observe(Signal.THROTTLED, 41.0, 80, 39.0)
    assert limits.limit == 64


def test_no_growth_while_the_limit_is_not_used():
    """A limit of which less than 80 % was in use does not grow."""
    limits = AdaptiveConcurrency(100, 1, 1_000)
    clean_round(limits, 1.0, used=0.7)
    assert limits.limit == 100
    clean_round(limits, 2.0, used=0.8)
    assert limits.limit == 200


def test_transient_trouble_pauses_growth_without_a_cut():
    """A 5xx makes the clean round start over and cuts nothing."""
    limits = AdaptiveConcurrency(10, 1, 100)
    for _ in range(9):
        limits.observe(Signal.CLEAN, 1.0, 10, 0.0)
    limits.observe(Signal.TRANSIENT, 1.0, 10, 0.0)
    for _ in range(9):
        limits.observe(Signal.CLEAN, 1.0, 10, 0.0)
    assert limits.limit == 10
    limits.observe(Signal.CLEAN, 1.0, 10, 0.0)
    assert limits.limit == 20


@given(
    st.integers(1, 50),
    st.lists(st.tuples(st.sampled_from(list(Signal)), st.floats(0, 20)), max_size=300),
)
def test_the_limit_stays_within_its_bounds(start, events):
    """Whatever comes, lowest ≤ limit ≤ highest, and the history tells every change."""
    limits, now = AdaptiveConcurrency(start, 1, 64), 0.0
    for signal, gap in events:
        now += gap
        limits.observe(signal, now, limits.limit, now)
        assert 1 <= limits.limit <= 64
        assert list(limits.history)[-1].limit == limits.limit
    cuts = [change.at for change in limits.history if change.reason == "429"]
    assert all(b - a >= 15.0 for a, b in pairwise(cuts))


def test_fixed_concurrency_learns_nothing():
    """For measurements the limit is what was asked for, whatever the server says."""
    limits = FixedConcurrency(7)
    limits.observe(Signal.THROTTLED, 1.0, 7, 0.0)
    assert limits.limit == 7
    assert len(list(limits.history)) == 1


def test_bounds_must_make_sense():
    """A start outside the bounds is an error."""
    with pytest.raises(ValueError):
        AdaptiveConcurrency(10, 1, 5)


@pytest.mark.parametrize(
    ("kind", "signal"),
    [
        (ErrorKind.RATE_LIMITED, Signal.THROTTLED),
        (ErrorKind.QUOTA, Signal.THROTTLED),
        (ErrorKind.UNAVAILABLE, Signal.TRANSIENT),
        (ErrorKind.SERVER_ERROR, Signal.TRANSIENT),
        (ErrorKind.CONNECTION_LOST, Signal.TRANSIENT),
        (ErrorKind.BAD_REQUEST, Signal.NEUTRAL),
        (ErrorKind.NOT_FOUND, Signal.NEUTRAL),
    ],
)
def test_what_a_reply_says_about_load(kind, signal):
    """429 is load, trouble is trouble, a bad request says nothing."""
    assert signal_of(failed(kind)) is signal
    assert signal_of(delivered()) is Signal.CLEAN
