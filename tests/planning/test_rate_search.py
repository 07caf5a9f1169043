"""The search for the highest rate that holds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from evalharness.config.models import SearchConfig
from evalharness.planning.rate_search import RateSearch


def explore(first: float, capacity: float, config: SearchConfig) -> tuple[RateSearch, list[float]]:
    search, rates = RateSearch(first, config), []
    while (rate := search.next_rate()) is not None:
        rates.append(rate)
        search.observe(rate, holds=rate <= capacity)
    return search, rates


@given(st.floats(0.1, 100), st.floats(0.1, 900), st.floats(0.02, 0.5))
def test_the_interval_holds_the_capacity_and_is_as_narrow_as_asked(
    first: float, capacity: float, precision: float
) -> None:
    config = SearchConfig(precision=precision, max_rate=1000, max_points=64)
    search, rates = explore(first, capacity, config)
    if search.low is None:
        assert search.high is not None
        assert search.high <= first / 32
        return
    assert search.low <= capacity
    assert search.high is not None
    assert search.high > capacity
    assert search.high - search.low <= precision * search.high + 1e-3 * search.high
    assert len(set(rates)) == len(rates)
    assert len(rates) <= 32


def test_it_doubles_first_and_then_bisects() -> None:
    assert explore(10, 55, SearchConfig(precision=0.05))[1] == [10, 20, 40, 80, 60, 50, 55, 57.5]


def test_it_goes_down_where_the_first_rate_does_not_hold() -> None:
    search, rates = explore(16, 3, SearchConfig(precision=0.1))
    assert rates[:4] == [16, 8, 4, 2]
    assert search.low == 3


def test_no_rate_above_the_bound_is_tried() -> None:
    search, rates = explore(30, 1e9, SearchConfig(max_rate=100))
    assert rates == [30, 60, 100]
    assert (search.low, search.high) == (100, None)
    assert search.outcome == "100/s holds, and no higher rate was tried"


def test_points_are_bounded() -> None:
    search, rates = explore(1, 500, SearchConfig(max_points=4))
    assert rates == [1, 2, 4, 8]
    assert search.next_rate() is None
