"""Limits that change while requests are sent: they hold from that moment on, over every window."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalharness.config.models import LimitsConfig, Profile
from evalharness.runner.pause_times import PauseTimes
from evalharness.throttle.limiter import EndpointLimiter
from evalharness.throttle.sent_counts import SentCounts
from evalharness.throttle.waiters import RequestReturned
from tests.throttle.manual_clock import ManualClock
from tests.throttle.replies import delivered
from tests.throttle.windows import most_in_window

RPM = st.one_of(st.none(), st.sampled_from([1.0, 30.0, 90.0, 600.0]))


def _limits(rpm: float | None, concurrency: int = 8) -> LimitsConfig:
    return LimitsConfig(concurrency=concurrency, rpm=rpm)


async def _send(limiter: EndpointLimiter, clock: ManualClock, sent: list[float]) -> None:
    while True:
        permit = await limiter.admit(early=True)
        await asyncio.sleep(0)  # the intent becomes durable
        try:
            await permit.wait_for_slot()
        except RequestReturned:
            permit.release(None)
            continue
        sent.append(clock.monotonic())
        await clock.sleep_until(clock.monotonic() + 0.2)
        permit.release(delivered(tokens=1))


@settings(max_examples=30, deadline=None)
@given(
    changes=st.lists(st.tuples(RPM, st.integers(1, 12), st.floats(0.5, 40)), min_size=2, max_size=6)
)
def test_no_window_after_a_change_holds_more_than_the_rate(
    changes: list[tuple[float | None, int, float]],
) -> None:
    async def scenario() -> None:
        clock = ManualClock()
        limiter = EndpointLimiter("test", _limits(changes[0][0]), Profile(), clock)
        sent: list[float] = []
        workers = [asyncio.create_task(_send(limiter, clock, sent)) for _ in range(14)]
        for rpm, concurrency, seconds in changes:
            limiter.change_limits(_limits(rpm, concurrency), "a test")
            before, in_flight = len(sent), limiter.in_flight
            await clock.advance(seconds)
            assert limiter.in_flight <= max(concurrency, in_flight)
            if rpm is not None:
                # Requests that had their slot when the rate was set have been counted by it.
                later = sent[before:]
                assert most_in_window(later, 60.0) <= max(1, int(rpm)) + in_flight
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)

    asyncio.run(scenario())


def test_what_is_ready_goes_back_when_the_endpoint_is_held() -> None:
    async def scenario() -> None:
        clock = ManualClock()
        limiter = EndpointLimiter("test", _limits(None, 1), Profile(), clock)
        first = await limiter.admit(early=True)
        assert await first.wait_for_slot() is True or first.in_flight
        ready = await limiter.admit(early=True)
        waiting = asyncio.create_task(ready.wait_for_slot("payload"))
        await asyncio.sleep(0)
        limiter.hold("paused")
        with pytest.raises(RequestReturned):
            await waiting
        ready.release(None)
        first.release(delivered(tokens=1))
        assert (limiter.in_flight, limiter.ready_queue.count) == (0, 0)
        late = asyncio.create_task(limiter.admit(early=True))
        await clock.advance(100)
        assert not late.done()
        limiter.end_hold()
        await clock.advance(0)
        (await late).release(None)

    asyncio.run(scenario())


@given(st.lists(st.floats(0, 3), max_size=200))
def test_moments_are_never_early_and_half_a_second_late_at_most(gaps: list[float]) -> None:
    counts, sent, now = SentCounts(), list[float](), 10.0
    for gap in gaps:
        now += gap
        counts.add(now)
        sent.append(now)
    kept = list(counts.moments())
    assert kept == sorted(kept)
    for real, told in zip(sent[len(sent) - len(kept) :], kept, strict=True):
        assert real <= told <= real + 0.5
    assert len(kept) == len(sent) or sent[len(sent) - len(kept)] < now - 100


@given(
    edges=st.lists(st.integers(0, 1_000), min_size=2, max_size=12, unique=True),
    span=st.tuples(st.integers(0, 1_000), st.integers(0, 1_000)),
)
def test_the_overlap_is_the_number_of_moments_in_both(
    edges: list[int], span: tuple[int, int]
) -> None:
    times, paused, start, end = PauseTimes(), set[int](), min(span), max(span)
    ordered = sorted(edges)
    for begin, stop in zip(ordered[::2], ordered[1::2], strict=False):
        times.begin(begin)
        times.begin(begin + 1)  # a pause that holds goes on
        times.end(stop)
        paused |= set(range(begin, stop))
    assert times.overlap_ns(start, end) == len(paused & set(range(start, end)))
    times.begin(2_000)
    assert times.overlap_ns(2_500, 2_700) == 200
