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


@given(st.floats(0.1, 100), st.floats(0.1, 900), st.floats(0.1, 900))
def test_what_the_client_cannot_measure_bounds_nothing(
    first: float, capacity: float, client: float
) -> None:
    """Whatever the client's limit, every bound is a verdict of a valid point."""
    config = SearchConfig(precision=0.1, max_rate=1000, max_points=64)
    search, rates = RateSearch(first, config), []
    while (rate := search.next_rate()) is not None:
        rates.append(rate)
        search.observe(rate, holds=rate <= capacity if rate <= client else None)
    assert len(set(rates)) == len(rates) <= 40
    assert search.unmeasured == [rate for rate in rates if rate > client]
    measured = [rate for rate in rates if rate <= client]
    assert search.low == max((rate for rate in measured if rate <= capacity), default=None)
    assert search.high == min((rate for rate in measured if rate > capacity), default=None)
    if search.high is None and search.low is not None and search.unmeasured:
        assert search.result == "at_least"
        assert search.outcome == (
            f"at least {search.low:g}/s; above that this client could not measure"
        )
        assert min(search.unmeasured) - search.low <= 0.101 * min(search.unmeasured)


def observed(*verdicts: tuple[float, bool | None]) -> RateSearch:
    search = RateSearch(verdicts[0][0], SearchConfig())
    for rate, holds in verdicts:
        search.observe(rate, holds=holds)
    return search


def test_only_invalid_points_find_out_nothing() -> None:
    search = observed((30, None), (15, None), (7.5, None))
    assert (search.low, search.high, search.result) == (None, None, "unmeasured")
    assert search.outcome == (
        "not measured: no point (7.5, 15 and 30/s) is valid, because of the client or because no "
        "request was due, which says nothing about the server"
    )
    assert search.next_rate() == 3.75


def test_a_rate_that_held_below_invalid_points_is_one_sided() -> None:
    search = observed((7.5, True), (15, None))
    assert (search.low, search.high, search.result) == (7.5, None, "at_least")
    assert search.outcome == "at least 7.5/s; above that this client could not measure"
    assert search.next_rate() == 11.25


def test_a_rate_that_did_not_hold_stays_the_upper_bound() -> None:
    search = observed((40, False), (20, None))
    assert (search.low, search.high, search.result) == (None, 40, "below")
    assert search.outcome == "40/s does not hold; not measured: 20/s"
    assert search.next_rate() == 10
    search.observe(10, holds=True)
    assert (search.low, search.high, search.result) == (10, 40, "between")
    assert search.outcome == (
        "the highest rate that holds is between 10 and 40 requests/s; not measured: 20/s"
    )


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
