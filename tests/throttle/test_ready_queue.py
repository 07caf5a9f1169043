"""A slot covers a request on the wire; those to come are made ready while all slots are taken."""

import asyncio
import random
from collections.abc import Callable, Coroutine

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalharness.config.models import LimitsConfig, Profile
from evalharness.records import ErrorKind
from evalharness.throttle.limiter import EndpointLimiter
from evalharness.throttle.permit import Permit
from evalharness.throttle.ready_queue import prefetch_size
from evalharness.throttle.waiters import LimiterClosed
from tests.throttle.manual_clock import ManualClock
from tests.throttle.replies import delivered, failed


def gate(clock: ManualClock, **limits) -> EndpointLimiter:
    return EndpointLimiter("test", LimitsConfig(**limits), Profile(), clock, rng_seed=1)


async def ready(door: EndpointLimiter, count: int) -> list[asyncio.Task[Permit]]:
    """So many callers that admit early and then stand ready."""

    async def one() -> Permit:
        permit = await door.admit(early=True)
        await permit.wait_for_slot()
        return permit

    return [asyncio.create_task(one()) for _ in range(count)]


async def next_one(
    name: str, door: EndpointLimiter, clock: ManualClock
) -> tuple[Permit, asyncio.Task[None]]:
    """A caller that was admitted early and waits for its slot."""
    permit = await door.admit(early=True)
    waiting = asyncio.create_task(permit.wait_for_slot(name))
    await clock.settle()
    return permit, waiting


async def crowd(
    visitor: Callable[[int], Coroutine[None, None, None]],
    door: EndpointLimiter,
    clock: ManualClock,
    rng: random.Random,
) -> list[asyncio.Task[None]]:
    """Four visitors a slot, a third of them cancelled at some moment; all have ended."""
    limit = door.limit
    tasks = [asyncio.create_task(visitor(i)) for i in range(limit * 4)]
    await clock.settle()
    assert door.in_flight == limit
    for task in rng.sample(tasks, k=len(tasks) // 3):
        task.cancel()
        await clock.advance(rng.random() * 0.2)
    await clock.advance(60.0)
    await asyncio.gather(*tasks, return_exceptions=True)
    return tasks


@pytest.mark.parametrize(("limit", "more"), [(1, 1), (8, 1), (64, 8), (1000, 125), (5000, 128)])
def test_how_many_are_prepared(limit, more):
    """An eighth of the limit, at least one, at most 128."""
    assert prefetch_size(limit) == more


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), limit=st.integers(1, 20))
def test_slots_and_places_are_never_exceeded_and_go_in_order(seed, limit):
    """Whatever is cancelled or ends when: bounded on the wire, bounded ahead, first come first."""

    async def main() -> None:
        rng, clock = random.Random(seed), ManualClock()
        door = gate(clock, concurrency=limit)
        on_wire = admitted = 0
        admitted_order: list[int] = []
        wire_order: list[int] = []

        async def visitor(number: int) -> None:
            nonlocal on_wire, admitted
            permit = await door.admit(early=True)
            admitted += 1
            admitted_order.append(number)
            assert admitted <= limit + prefetch_size(limit)
            try:
                await permit.wait_for_slot()
                wire_order.append(number)
                on_wire += 1
                assert on_wire == door.in_flight <= limit
                try:
                    await clock.sleep_until(clock.monotonic() + rng.random())
                finally:
                    on_wire -= 1
            finally:
                admitted -= 1
                permit.release(delivered())

        await crowd(visitor, door, clock, rng)
        assert door.in_flight == on_wire == admitted == 0
        assert wire_order == sorted(wire_order)
        assert admitted_order == sorted(admitted_order)

    asyncio.run(main())


async def test_freed_slots_are_all_taken_at_once():
    """A hundred answers in one round of the loop let a hundred go in the next."""
    clock = ManualClock()
    door = gate(clock, concurrency=1000)
    tasks = await ready(door, 1125)
    await clock.settle()
    flying = [task.result() for task in tasks if task.done()]
    assert len(flying) == door.in_flight == 1000
    for permit in flying[:100]:
        permit.release(delivered())
    assert door.in_flight == 1000  # before anybody else had a turn
    door.close()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("limit", [{"rpm": 100_000}, {"tpm": 10_000_000}])
async def test_nothing_is_prepared_under_a_rate(limit):
    """A rate counts a request from its admission, which must then be when it goes."""
    clock = ManualClock()
    door = gate(clock, concurrency=64, **limit)
    assert door.prefetch_size == 0
    tasks = [asyncio.create_task(door.admit(early=True)) for _ in range(80)]
    await clock.advance(10.0)
    assert sum(task.done() for task in tasks) == 64
    assert all(task.result().in_flight for task in tasks if task.done())
    door.close()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_those_who_stand_ready_wait_out_a_pause_and_nobody_joins_them():
    """A pause holds for prepared requests too, and while it lasts none is prepared."""
    clock = ManualClock()
    door = gate(clock, concurrency=8)
    tasks = await ready(door, 9)
    await clock.settle()
    flying = [task.result() for task in tasks if task.done()]
    assert len(flying) == 8
    reply = failed(ErrorKind.RATE_LIMITED, **{"retry-after": "5"})
    flying[0].decide(reply, 1, 0)
    late = await ready(door, 1)
    for permit in flying:
        permit.release(delivered())
    await clock.advance(4.9)
    assert not tasks[8].done()
    assert not late[0].done()
    assert door.in_flight == 0
    await clock.advance(10.0)
    assert tasks[8].done()
    assert late[0].done()


async def test_a_pause_that_begins_in_the_last_moment_is_kept():
    """A slot that was handed over goes back when a pause begins before its owner has a turn."""
    clock = ManualClock()
    door = gate(clock, concurrency=1)
    tasks = await ready(door, 2)
    await clock.settle()
    tasks[0].result().release(delivered())
    assert door.in_flight == 1
    door.pause(5.0, "test")
    await clock.advance(4.9)
    assert (tasks[1].done(), door.in_flight) == (False, 0)
    await clock.advance(1.0)
    assert (tasks[1].done(), door.in_flight) == (True, 1)


async def test_closing_turns_those_away_who_stand_ready():
    """Nothing new is sent: what was prepared was not."""
    clock = ManualClock()
    door = gate(clock, concurrency=1)
    tasks = await ready(door, 2)
    await clock.settle()
    door.close()
    await clock.settle()
    assert isinstance(tasks[1].exception(), LimiterClosed)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), limit=st.integers(1, 20))
def test_what_stands_ready_is_sent_once_by_its_owner_or_by_whoever_ends_first(seed, limit):
    """Whatever is cancelled or ends when: nothing is sent twice, no slot is lost, in order."""

    async def main() -> None:
        rng, clock = random.Random(seed), ManualClock()
        door = gate(clock, concurrency=limit)
        on_wire = 0
        sent: list[int] = []

        async def send(number: int, permit: Permit) -> None:
            nonlocal on_wire
            while True:
                sent.append(number)
                on_wire += 1
                assert on_wire == door.in_flight <= limit
                try:
                    await clock.sleep_until(clock.monotonic() + rng.random())
                except BaseException:
                    on_wire -= 1
                    permit.release(None)
                    raise
                on_wire -= 1
                following = permit.release_to_next(delivered())
                if following is None:
                    return
                number, permit = following

        async def visitor(number: int) -> None:
            permit = await door.admit(early=True)
            try:
                await permit.wait_for_slot((number, permit))
            except BaseException:
                if not permit.transferred:
                    permit.release(None)
                raise
            if not permit.transferred:
                await send(number, permit)

        tasks = await crowd(visitor, door, clock, rng)
        assert door.in_flight == on_wire == 0
        assert sent == sorted(set(sent))
        given_up = [n for n, task in enumerate(tasks) if task.cancelled()]
        assert set(sent) | set(given_up) == set(range(limit * 4))

    asyncio.run(main())


async def test_a_request_goes_in_the_turn_in_which_its_slot_is_freed():
    """Not in the next one, behind every other reply that is there already."""
    clock = ManualClock()
    door = gate(clock, concurrency=1)
    first = await door.admit(early=True)
    await first.wait_for_slot("first")
    second, waiting = await next_one("second", door, clock)
    assert first.release_to_next(delivered()) == "second"
    assert second.transferred
    assert second.in_flight == door.in_flight == 1
    await clock.settle()
    assert waiting.done()
    assert second.release_to_next(delivered()) is None
    assert door.in_flight == 0


async def test_nothing_is_handed_on_in_a_pause_or_at_a_closed_gate():
    clock = ManualClock()
    door = gate(clock, concurrency=1)
    first = await door.admit(early=True)
    await first.wait_for_slot("first")
    second, waiting = await next_one("second", door, clock)
    door.pause(5.0, "test")
    assert first.release_to_next(delivered()) is None
    await clock.advance(4.0)
    assert not waiting.done()
    await clock.advance(2.0)
    assert waiting.done()
    assert not second.transferred
    await clock.advance(10.0)  # slots come back one by one after a pause
    _, waiting = await next_one("third", door, clock)
    door.close()
    assert second.release_to_next(delivered()) is None
    with pytest.raises(LimiterClosed):
        await waiting
