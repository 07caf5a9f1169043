"""The limiter: never above its limit in any window, and 429 in the words of the profile."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.emulator.limiter import SlidingWindowLimiter
from tests.emulator.conftest import Server

Launch = Callable[..., contextlib.AbstractContextManager[Server]]
# Sixty-fourths of a second: sums of them are exact, so a window's edge is where the test puts it.
ARRIVALS = st.lists(
    st.tuples(st.integers(0, 320).map(lambda n: n / 64), st.integers(1, 50)), max_size=60
)


@given(ARRIVALS, st.integers(1, 10), st.integers(50, 200))
def test_no_window_ever_holds_more_than_the_limit(
    steps: list[tuple[float, int]], rpm: int, tpm: int
) -> None:
    """Wherever a minute is laid, requests and tokens inside it keep to the limits."""
    limiter = SlidingWindowLimiter(rpm, tpm)
    now, admitted = 0.0, list[tuple[float, int]]()
    for pause, tokens in steps:
        now += pause
        refusal = limiter.admit(now, tokens)
        inside = [(at, size) for at, size in admitted if at > now - 60]
        fits = len(inside) < rpm and sum(size for _, size in inside) + tokens <= tpm
        assert (refusal is None) is fits
        if refusal is None:
            admitted.append((now, tokens))
        else:
            assert 0 < refusal.retry_after_s <= 60


@given(st.lists(st.floats(0, 30), min_size=1, max_size=30), st.integers(1, 5))
def test_after_the_stated_wait_the_request_fits(pauses: list[float], rpm: int) -> None:
    """``retry_after_s`` is enough: a request repeated then is admitted."""
    limiter = SlidingWindowLimiter(rpm, None)
    now = 0.0
    for pause in pauses:
        now += pause
        refusal = limiter.admit(now, 1)
        if refusal is not None:
            now += refusal.retry_after_s + 1e-6
            assert limiter.admit(now, 1) is None


def test_per_second_caps_refuse_bursts() -> None:
    """With the caps a minute's budget cannot be spent in a second."""
    limiter = SlidingWindowLimiter(120, None, per_second_caps=True)
    refused = [limiter.admit(0.1, 1) for _ in range(3)]
    assert [r is None for r in refused] == [True, True, False]
    assert refused[2] is not None
    assert refused[2].limit == "burst"
    assert limiter.admit(1.2, 1) is None


def test_requests_above_rpm_are_429(launch: Launch) -> None:
    """The first requests pass, the rest are refused unbilled, and the statistics count them."""
    with launch("--rpm", "5") as one:
        answers = [one.post() for _ in range(9)]
        assert [a.status_code for a in answers] == [200] * 5 + [429] * 4
        assert not any(h.startswith("retry-after") for h in answers[-1].headers)
        stats = one.stats()
    assert (stats["rate_limited"], stats["billed_requests"]) == (4, 5)


def test_tokens_above_tpm_are_429_in_the_services_words(launch: Launch) -> None:
    """Profile aimlapi calls missing tokens per minute insufficient_quota, as the service does."""
    with launch("--tpm", "40", "--profile", "aimlapi", "--output-tokens", "12") as one:
        answers = [one.post() for _ in range(3)]
        assert [a.status_code for a in answers] == [200, 200, 429]
        assert answers[2].json()["code"] == "insufficient_quota"


def test_a_window_passes(launch: Launch) -> None:
    """After a short window the limit is whole again: the stated wait is enough, exactly once."""
    with launch("--rpm", "1", "--limit-window-s", "0.5", "--limit-retry-after", "ms") as one:
        assert one.post().status_code == 200
        refused = one.post()
        assert 0 < int(refused.headers["retry-after-ms"]) <= 501
        while (answer := one.post()).status_code == 429:
            pass
        assert answer.status_code == 200


@pytest.mark.parametrize("form", ["int", "float", "date"])
def test_every_form_of_retry_after(launch: Launch, form: str) -> None:
    """A 429 says when to come back in the form asked for, never too early."""
    with launch("--rpm", "1", "--limit-retry-after", form) as one:
        one.post()
        answer = one.post()
    value = answer.headers["retry-after"]
    if form == "date":
        ahead = parsedate_to_datetime(value) - parsedate_to_datetime(answer.headers["date"])
        assert 57 <= ahead.total_seconds() <= 62
    else:
        assert 57 <= float(value) <= 60.001
        assert value.isdigit() is (form == "int")
