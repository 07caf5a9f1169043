"""The limiter of an endpoint: slots, pauses, waiting."""

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalharness.config.models import LimitsConfig, Profile
from evalharness.records import ErrorKind
from evalharness.throttle.clock import SystemClock
from evalharness.throttle.limiter import EndpointLimiter
from evalharness.throttle.permit import Permit
from evalharness.throttle.waiters import LimiterClosed
from tests.throttle.manual_clock import ManualClock
from tests.throttle.replies import delivered, failed


def gate(clock: ManualClock | SystemClock | None = None, **limits) -> EndpointLimiter:
    return EndpointLimiter(
        "test", LimitsConfig(**limits), Profile(), clock or ManualClock(), rng_seed=1
    )


def test_a_free_slot_is_given_without_suspending():
    """With a free slot and no rates admit never goes through the event loop."""
    coroutine = gate(concurrency=1).admit(5)
    with pytest.raises(StopIteration) as stop:
        coroutine.send(None)
    assert isinstance(stop.value.value, Permit)


async def test_slots_are_never_exceeded_and_go_in_order_of_arrival():
    """At most `concurrency` permits are out, and waiters are served first come, first served."""
    clock = ManualClock()
    door = gate(clock, concurrency=3)
    order: list[int] = []
    permits: list[Permit] = []

    async def visitor(number: int) -> None:
        permit = await door.admit()
        order.append(number)
        permits.append(permit)

    tasks = [asyncio.create_task(visitor(i)) for i in range(10)]
    await clock.settle()
    assert order == [0, 1, 2]
    while len(order) < 10:
        permits.pop(0).release(delivered())
        await clock.settle()
        assert door.in_flight <= 3
    assert order == list(range(10))
    await asyncio.gather(*tasks)


async def test_a_large_request_is_not_overtaken_by_small_ones():
    """Strict FIFO on tokens: what fits later waits behind what came earlier."""
    clock = ManualClock()
    door = gate(clock, concurrency=10, tpm=1_000)
    order: list[str] = []

    async def visitor(name: str, tokens: int) -> None:
        (await door.admit(tokens)).release(delivered(tokens=tokens))
        order.append(name)

    tasks = [
        asyncio.create_task(visitor(name, tokens))
        for name, tokens in [("first", 600), ("large", 900), ("tiny", 1)]
    ]
    await clock.advance(50.0)
    assert order == ["first"]
    await clock.advance(100.0)
    assert order == ["first", "large", "tiny"]
    await asyncio.gather(*tasks)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), tpm=st.sampled_from([None, 5_000]))
def test_a_cancelled_waiter_loses_nothing(seed, tpm):
    """Waiters cancelled at random: no slot and no token is lost, and the others keep order."""

    async def scenario() -> None:
        rng = random.Random(seed)
        clock = ManualClock()
        door = gate(clock, concurrency=2, tpm=tpm)
        order: list[int] = []
        granted = 0

        async def visitor(number: int) -> None:
            nonlocal granted
            permit = await door.admit(100)
            granted += 1
            order.append(number)
            try:
                await clock.sleep_until(clock.monotonic() + rng.random())
            finally:
                permit.release(delivered(tokens=100))

        tasks = [asyncio.create_task(visitor(i)) for i in range(30)]
        cancelled = set()
        for _ in range(15):
            await clock.advance(rng.random())
            for number in rng.sample(range(30), 2):
                if number not in order:
                    tasks[number].cancel()
                    cancelled.add(number)
        await clock.advance(120.0)
        await asyncio.gather(*tasks, return_exceptions=True)
        assert order == [i for i in range(30) if i not in cancelled]
        assert door.in_flight == 0
        assert door.wait_state() is None
        await clock.advance(120.0)
        assert (await clock.run(door.admit(5_000))).in_flight == 1

    asyncio.run(scenario())


async def test_a_pause_stops_even_those_who_arrive_later():
    """During a pause nobody passes; the longest of several pauses holds."""
    clock = ManualClock()
    door = gate(clock, concurrency=4)
    door.pause(20.0, "429")
    door.pause(5.0, "429 again")
    tasks = [asyncio.create_task(door.admit())]
    await clock.advance(15.0)
    tasks.append(asyncio.create_task(door.admit()))
    await clock.advance(4.9)
    assert not any(task.done() for task in tasks)
    await clock.advance(60.0)
    assert [task.result().admitted_at for task in tasks] >= [20.0, 20.0]


async def test_slots_come_back_one_by_one_after_a_pause():
    """After the deadline the slots are given over as long as the pause was, at most 10 s."""
    clock = ManualClock()
    door = gate(clock, concurrency=10)
    door.pause(100.0, "429")
    tasks = [asyncio.create_task(door.admit()) for _ in range(10)]
    await clock.advance(200.0)
    assert [task.result().admitted_at for task in tasks] == pytest.approx(
        [100.0 + i for i in range(10)]
    )


async def test_a_reply_pauses_before_its_slot_is_free():
    """decide() pauses at once: the waiter that gets the freed slot still waits."""
    clock = ManualClock()
    door = gate(clock, concurrency=1)
    permit = await door.admit()
    waiter = asyncio.create_task(door.admit())
    await clock.settle()
    reply = failed(ErrorKind.RATE_LIMITED, retry_after="30")
    permit.decide(reply, 1, 0)
    permit.release(reply)
    await clock.advance(29.9)
    assert not waiter.done()
    await clock.advance(0.2)
    assert waiter.result().admitted_at >= 30.0


async def test_closing_wakes_everybody():
    """close() turns all waiters away with the reason; permits out can still be given back."""
    clock = ManualClock()
    door = gate(clock, concurrency=1)
    permit = await door.admit()
    tasks = [asyncio.create_task(door.admit()) for _ in range(100)]
    await clock.settle()
    door.close()
    await clock.settle()
    assert all(isinstance(task.exception(), LimiterClosed) for task in tasks)
    permit.release(delivered())
    assert door.in_flight == 0
    with pytest.raises(LimiterClosed):
        await door.admit()


@pytest.mark.parametrize(
    "reply",
    [
        failed(ErrorKind.OUT_OF_CREDIT),
        failed(ErrorKind.UNAUTHORIZED),
        failed(ErrorKind.TLS),
        failed(ErrorKind.RATE_LIMITED, retry_after="100000"),
    ],
)
async def test_a_fatal_reply_starts_nothing_new(reply):
    """From the decision on nothing is admitted, waiting or arriving, and the reason is at hand."""
    clock = ManualClock()
    door = gate(clock, concurrency=1)
    permit = await door.admit()
    waiter = asyncio.create_task(door.admit())
    await clock.settle()
    decision = permit.decide(reply, 1, 0)
    permit.release(reply)
    await clock.settle()
    stopped = waiter.exception()
    assert isinstance(stopped, LimiterClosed)
    assert stopped.decision is decision
    assert decision.stops
    with pytest.raises(LimiterClosed):
        await door.admit()


async def test_waiting_says_what_for_and_how_long():
    """Each kind of wait has its name and, where time ends it, its end."""
    clock = ManualClock()
    door = gate(clock, concurrency=2, rpm=60, tpm=600)
    assert door.wait_state() is None
    first = await door.admit(600)
    task = asyncio.create_task(door.admit(10))
    await clock.settle()
    state = door.wait_state()
    assert state is not None
    assert state.reason == "tokens per minute"
    assert state.until == pytest.approx(60.25)
    assert state.waiters == 1
    first.release(delivered(tokens=1))
    state = door.wait_state()
    assert state is not None
    assert state.reason == "requests per minute"
    assert 0 < (state.seconds_left or 0) < 1.1
    door.pause(5.0, "429 rate_limited")
    state = door.wait_state()
    assert state is not None
    assert state.reason == "paused: 429 rate_limited"
    assert state.seconds_left == 5.0
    await clock.advance(20.0)
    await task
    (await door.admit(1)).release(None)
    door.policy.outage.begin(clock.monotonic())
    state = door.wait_state()
    assert state is not None
    assert state.reason == "the endpoint serves nothing; next probe"
    door.policy.outage.reason = "http://127.0.0.1:9/v1: Connection refused"
    state = door.wait_state()
    assert state is not None
    assert state.reason == (
        "the endpoint serves nothing (http://127.0.0.1:9/v1: Connection refused); next probe"
    )
    assert state.seconds_left == 30.0
    assert door.blocked_for_s() == 30.0
    assert state.waiters == 0


async def test_waiting_for_a_slot_has_no_end_in_time():
    """A slot comes free with a reply, and nobody knows when: until is null."""
    clock = ManualClock()
    door = gate(clock, concurrency=1)
    await door.admit()
    task = asyncio.create_task(door.admit())
    await clock.settle()
    state = door.wait_state()
    assert state is not None
    assert (state.reason, state.until, state.seconds_left) == ("a free slot", None, None)
    task.cancel()


async def test_a_permit_is_given_back_once():
    """A second done() changes nothing; done(None) frees the slot and learns nothing."""
    door = gate(concurrency=2)
    permit = await door.admit()
    permit.release(delivered())
    permit.release(delivered())
    assert door.in_flight == 0
    (await door.admit()).release(None)
    assert door.in_flight == 0


async def test_adaptive_concurrency_learns_through_the_gate():
    """Clean rounds double the limit, a 429 cuts it, and the history is by wall clock."""
    clock = ManualClock(start_ns=10**18)
    door = gate(clock, concurrency=100, adaptive=True)
    assert door.limit == 20
    permits = [await door.admit() for _ in range(20)]
    await clock.advance(2.0)
    for permit in permits:
        permit.release(delivered())
    assert door.limit == 40
    permit = await door.admit()
    permit.release(failed(ErrorKind.RATE_LIMITED))
    assert door.limit == 32
    assert [(r.at_ns, r.limit) for r in door.history] == [
        (10**18, 20),
        (10**18 + 2 * 10**9, 40),
        (10**18 + 2 * 10**9, 32),
    ]


async def test_the_gate_works_on_the_real_clock():
    """The same gate on system time: a pause holds, and what waited passes afterwards in order."""
    clock = SystemClock()
    door = gate(clock, concurrency=5)
    begin = clock.monotonic()
    door.pause(0.02, "test")
    permits = await asyncio.gather(*(door.admit() for _ in range(5)))
    assert all(permit.admitted_at >= begin + 0.02 for permit in permits)
    assert [permit.in_flight for permit in permits] == [1, 2, 3, 4, 5]
