"""Limits of requests and tokens per minute hold in any window."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalharness.throttle.token_bucket import RequestLimiter, TokenLimiter
from tests.throttle.windows import most_in_window

GAPS = st.lists(
    st.one_of(st.just(0.0), st.floats(0, 0.5), st.floats(0, 90)), min_size=20, max_size=300
)


def send_all(rate: RequestLimiter, arrivals: list[float], late_s: float = 0.0) -> list[float]:
    """When requests that arrive then are let go, each timer firing ``late_s`` too late."""
    now, sent = 0.0, []
    for arrival in arrivals:
        now = max(now, arrival)
        while wait := rate.delay(now):
            now += wait + late_s
        rate.take(now)
        sent.append(now)
    return sent


@settings(max_examples=150, deadline=None)
@given(
    rpm=st.one_of(st.floats(0.2, 3), st.integers(1, 600), st.floats(60, 10_000)),
    gaps=GAPS,
    per_second=st.booleans(),
)
def test_requests_never_exceed_the_limit_in_any_window(rpm, gaps, per_second):
    """Whatever the arrivals, no closed window of 60 s holds more than rpm requests."""
    arrivals, now = [], 0.0
    for gap in gaps:
        now += gap * 60 / rpm  # dense enough to press against the limit
        arrivals.append(now)
    sent = send_all(RequestLimiter(rpm, per_second_caps=per_second), arrivals)
    window = 60.0 if rpm >= 1 else 60.0 / rpm
    assert most_in_window(sent, window) <= max(1, math.floor(rpm))
    if per_second:
        assert most_in_window(sent, 1.0) <= max(1, math.floor(rpm / 60))


@settings(max_examples=60, deadline=None)
@given(
    rpm=st.integers(1, 3000), late_s=st.sampled_from([0.0, 0.001, 0.01]), per_second=st.booleans()
)
def test_requests_use_the_limit(rpm, late_s, per_second):
    """With work always waiting, 95 % of the limit is used, timers firing up to 10 ms late."""
    count = 5 * rpm
    sent = send_all(RequestLimiter(rpm, per_second_caps=per_second), [0.0] * count, late_s)
    per_minute = 60 * (rpm // 60) if per_second and rpm >= 60 else rpm
    assert (count - 1) / sent[-1] * 60 >= 0.95 * per_minute
    assert most_in_window(sent, 60.0) <= rpm


@given(rpm=st.floats(1, 100_000))
def test_a_burst_is_at_most_one_second_of_rate(rpm):
    """After any idle time no more than max(1, rpm/60) requests go at one instant."""
    rate = RequestLimiter(rpm)
    for at in (0.0, 1e6):
        count = 0
        while rate.delay(at) == 0.0:
            rate.take(at)
            count += 1
        assert 1 <= count <= max(1.0, math.ceil(rpm / 60))


@pytest.mark.parametrize("limit", [0, -1, math.nan, math.inf])
def test_nonsense_limits_are_refused(limit):
    """A rate that is no positive number is an error at once."""
    with pytest.raises(ValueError):
        RequestLimiter(limit)
    with pytest.raises(ValueError):
        TokenLimiter(limit)


def spend_all(budget: TokenLimiter, requests: list[tuple[float, int]]) -> list[float]:
    """When requests of (arrival, tokens) are let go, in order; estimates exact."""
    now, sent = 0.0, []
    for arrival, tokens in requests:
        now = max(now, arrival)
        while wait := budget.delay(now, tokens):
            now += wait
        budget.settle(budget.take(now, tokens), tokens, now)
        sent.append(now)
    return sent


@settings(max_examples=150, deadline=None)
@given(
    tpm=st.integers(100, 1_000_000),
    shares=st.lists(st.floats(0.0, 1.0), min_size=5, max_size=200),
    gaps=GAPS,
)
def test_tokens_never_exceed_the_limit_in_any_window(tpm, shares, gaps):
    """Requests of any size up to the limit: no closed window of 60 s holds more than tpm tokens."""
    requests, now = [], 0.0
    for share, gap in zip(shares, gaps, strict=False):
        now += gap
        requests.append((now, math.floor(share * tpm)))
    sent = spend_all(TokenLimiter(tpm), requests)
    assert most_in_window(sent, 60.0, [n for _, n in requests]) <= tpm


@settings(max_examples=60, deadline=None)
@given(tpm=st.integers(5_000, 1_000_000), data=st.data())
def test_tokens_use_the_limit(tpm, data):
    """With work always waiting and mixed sizes up to 4 % of tpm, 95 % of the tokens are used."""
    shares = data.draw(st.lists(st.floats(0.001, 0.04), min_size=10, max_size=50))
    sizes = [math.ceil(share * tpm * 0.99) for share in shares]
    requests: list[tuple[float, int]] = []
    while sum(n for _, n in requests) < 5 * tpm:
        requests += [(0.0, size) for size in sizes]
    sent = spend_all(TokenLimiter(tpm), requests)
    used = sum(n for _, n in requests[:-1])
    assert used / sent[-1] * 60 >= 0.95 * tpm
    assert most_in_window(sent, 60.0, [n for _, n in requests]) <= tpm


def test_an_oversized_request_passes_alone():
    """More tokens than tpm: it waits for an empty budget, goes, and is paid for at the rate."""
    budget = TokenLimiter(1_000)
    first = budget.take(0.0, 100)
    assert budget.delay(1.0, 3_000) == pytest.approx(59.25)
    budget.settle(first, 100, 1.0)
    assert budget.delay(60.25, 3_000) == 0.0
    budget.take(60.25, 3_000)
    wait = budget.delay(60.25, 1)
    assert 3 * 60 - 5 <= wait <= 3 * 61


def test_settling_gives_back_and_takes_more():
    """A lower real usage makes room at once; a higher one is a debt that others wait out."""
    budget = TokenLimiter(1_000)
    big = budget.take(0.0, 900)
    assert budget.delay(10.0, 200) > 0
    budget.settle(big, 100, 10.0)
    assert budget.outstanding == 100
    assert budget.delay(10.0, 200) == 0.0
    small = budget.take(10.0, 200)
    budget.settle(small, 1_500, 11.0)
    assert budget.outstanding == 1_600
    assert budget.delay(11.0, 100) > 49.0


def test_unknown_usage_settles_at_the_estimate():
    """None leaves the reservation as it is, and a later figure cannot change it."""
    budget = TokenLimiter(1_000)
    reservation = budget.take(0.0, 600)
    budget.settle(reservation, None, 1.0)
    budget.settle(reservation, 10, 2.0)
    assert budget.outstanding == 600


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 400), st.one_of(st.none(), st.integers(0, 800)), st.floats(0, 30)),
        min_size=1,
        max_size=100,
    )
)
def test_settled_tokens_never_leak(steps):
    """Once everything is settled and a window has passed, nothing is outstanding."""
    budget, now = TokenLimiter(1_000), 0.0
    for estimate, actual, latency in steps:
        now += budget.delay(now, estimate)
        reservation = budget.take(now, estimate)
        now += latency
        budget.settle(reservation, actual, now)
        assert budget.outstanding >= 0
    assert budget.delay(now + 61 + 60 * 120, 1_000) == 0.0
    assert budget.outstanding == 0


def test_token_memory_is_bounded():
    """A million small requests in a minute are remembered in under a thousand steps."""
    budget = TokenLimiter(1e9)
    for i in range(100_000):
        budget.take(i * 60e-5, 1)
    assert len(budget._cells) < 1_000
