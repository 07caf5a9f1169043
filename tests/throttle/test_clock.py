"""The virtual clock and the real one keep the same contract."""

import asyncio

import pytest

from evalharness.throttle.clock import SystemClock
from tests.throttle.manual_clock import ManualClock


async def test_sleepers_wake_in_order_of_deadline():
    """Virtual time visits every deadline in order, and each sleeper sees its own moment."""
    clock = ManualClock()
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, when: float) -> None:
        await clock.sleep_until(when)
        woken.append((name, clock.monotonic()))

    tasks = [asyncio.create_task(sleeper(n, t)) for n, t in [("c", 3.0), ("a", 1.0), ("b", 1.0)]]
    await clock.advance(2.0)
    assert woken == [("a", 1.0), ("b", 1.0)]
    await clock.advance(1.0)
    assert woken[-1] == ("c", 3.0)
    await asyncio.gather(*tasks)


async def test_a_sleeper_may_sleep_again_within_one_advance():
    """A woken task that sleeps on is woken again on the way to the same target."""
    clock = ManualClock(start=100.0)
    seen: list[float] = []

    async def ticker() -> None:
        for _ in range(5):
            await clock.sleep_until(clock.monotonic() + 1.0)
            seen.append(clock.monotonic())

    task = asyncio.create_task(ticker())
    await clock.advance(10.0)
    assert seen == [101.0, 102.0, 103.0, 104.0, 105.0]
    assert task.done()


async def test_wait_for_tells_event_from_timeout():
    """wait_for returns True for the event, False when its time is over."""
    clock = ManualClock()
    event = asyncio.Event()
    late = asyncio.create_task(clock.wait_for(event, 5.0))
    soon = asyncio.create_task(clock.wait_for(event, 1.0))
    await clock.advance(2.0)
    assert soon.result() is False
    assert not late.done()
    event.set()
    await clock.settle()
    assert late.result() is True
    assert clock.monotonic() == 2.0


async def test_wall_clock_moves_with_virtual_time():
    """now_ns advances by exactly the virtual seconds that passed."""
    clock = ManualClock(start=5.0, start_ns=1_000)
    await clock.advance(1.5)
    assert clock.now_ns() == 1_000 + 1_500_000_000


async def test_run_reports_a_deadlock():
    """Work that no passing of time can finish is an error, not a hang."""
    clock = ManualClock()
    with pytest.raises(RuntimeError, match="not done"):
        await clock.run(clock.wait_for(asyncio.Event(), None))


async def test_a_cancelled_sleeper_leaves_no_deadline():
    """After cancellation nobody is waiting, and time does not stop at the old deadline."""
    clock = ManualClock()
    task = asyncio.create_task(clock.wait_for(asyncio.Event(), 5.0))
    await clock.settle()
    task.cancel()
    await clock.settle()
    with pytest.raises(RuntimeError, match="nobody sleeps"):
        await clock.run(asyncio.Event().wait())


async def test_the_system_clock_keeps_the_same_contract():
    """The real clock waits until the moment asked for, and tells event from timeout."""
    clock = SystemClock()
    event = asyncio.Event()
    begin = clock.monotonic()
    await clock.sleep_until(begin + 0.01)
    assert clock.monotonic() >= begin + 0.01
    assert await clock.wait_for(event, 0.01) is False
    event.set()
    assert await clock.wait_for(event, None) is True
    assert clock.now_ns() > 1_600_000_000_000_000_000
