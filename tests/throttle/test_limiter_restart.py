"""A process that starts anew: what was sent before it counts, and a pause goes on (P8, P9)."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalharness.config.models import LimitsConfig, Profile
from evalharness.throttle.limiter import EndpointLimiter
from evalharness.throttle.waiters import EarlierRequest
from tests.throttle.manual_clock import ManualClock
from tests.throttle.replies import delivered
from tests.throttle.windows import most_in_window


def door(clock: ManualClock, rpm: float | None, tpm: float | None) -> EndpointLimiter:
    return EndpointLimiter(
        "test", LimitsConfig(concurrency=1_000, rpm=rpm, tpm=tpm), Profile(), clock
    )


async def _send(
    gate: EndpointLimiter, clock: ManualClock, sent: list[EarlierRequest], sizes: random.Random
) -> None:
    while True:
        tokens = sizes.randint(10, 300)
        permit = await gate.admit(tokens)
        sent.append(EarlierRequest(clock.now_ns(), tokens))
        permit.release(delivered(tokens=tokens))


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32),
    rpm=st.one_of(st.none(), st.sampled_from([30, 90, 600])),
    tpm=st.one_of(st.none(), st.sampled_from([3_000, 20_000])),
    lives=st.lists(st.floats(0.0, 70.0), min_size=2, max_size=6),
)
def test_killed_and_started_again_no_window_is_above_a_limit(
    seed: int, rpm: int | None, tpm: int | None, lives: list[float]
) -> None:
    """Processes that live from 0 to 70 s, each told what the earlier ones sent."""
    if rpm is None and tpm is None:
        return
    sent: list[EarlierRequest] = []

    async def scenario() -> float:
        sizes = random.Random(seed)
        origin_ns = 1_700_000_000_000_000_000
        for life in lives:
            # Every process has a monotonic clock of its own; the wall clock goes on.
            clock = ManualClock(start=sizes.uniform(0, 1e6), start_ns=origin_ns)
            gate = door(clock, rpm, tpm)
            gate.restore(sent)
            worker = asyncio.create_task(_send(gate, clock, sent, sizes))
            await clock.advance(life)
            worker.cancel()
            origin_ns = clock.now_ns() + int(sizes.choice([0.0, 0.5, 20.0]) * 1e9)
        return 0.0

    asyncio.run(scenario())
    times = [s.at_ns / 1e9 - 1_700_000_000 for s in sent]
    if rpm is not None:
        assert most_in_window(times, 60.0) <= rpm
    if tpm is not None:
        assert most_in_window(times, 60.0, [float(s.tokens) for s in sent]) <= tpm


def test_without_being_told_it_would_be_above() -> None:
    """The same without the memory exceeds the limit: the test above can fail."""
    sent: list[EarlierRequest] = []

    async def scenario() -> None:
        for start in range(3):
            clock = ManualClock(start_ns=1_700_000_000_000_000_000 + start * 20_000_000_000)
            worker = asyncio.create_task(
                _send(door(clock, 600, None), clock, sent, random.Random(1))
            )
            await clock.advance(20.0)
            worker.cancel()

    asyncio.run(scenario())
    assert most_in_window([s.at_ns / 1e9 - 1_700_000_000 for s in sent], 60.0) > 600


@pytest.mark.parametrize(("rpm", "tpm"), [(60, None), (None, 6_000)])
async def test_what_a_higher_limit_let_go_is_waited_out_for_one_window_at_most(
    rpm: int | None, tpm: int | None
) -> None:
    """A thousand requests a moment ago, and a limit of 60 now: a minute later all is as new."""
    clock = ManualClock(start=500.0)
    gate = door(clock, rpm, tpm)
    gate.restore(EarlierRequest(clock.now_ns() - i, 100) for i in range(1_000))
    waiting = asyncio.create_task(gate.admit(100))
    await clock.advance(59.0)
    assert not waiting.done()
    await clock.advance(2.5)
    assert waiting.done()


async def test_moments_in_the_future_count_as_now() -> None:
    """A clock that was set back does not close the gate for longer than a window."""
    clock = ManualClock()
    gate = door(clock, 1, None)
    gate.restore([EarlierRequest(clock.now_ns() + 3_600_000_000_000, 1)])
    waiting = asyncio.create_task(gate.admit())
    await clock.advance(61.5)
    assert waiting.done()


async def test_the_first_request_is_a_probe_where_a_long_pause_was_cut_short() -> None:
    """One goes; the others follow its answer."""
    clock = ManualClock()
    gate = door(clock, None, None)
    gate.probe_first()
    first = await gate.admit()
    others = [asyncio.create_task(gate.admit()) for _ in range(5)]
    await clock.advance(29.0)
    assert not any(task.done() for task in others)
    first.decide(delivered(), 1, 0)
    first.release(delivered())
    await clock.advance(11.0)
    assert all(task.done() for task in others)


async def test_who_is_not_patient_is_sent_away_during_a_pause() -> None:
    """Waiting before or arriving after the pause began: Held, with the time; nobody is lost."""
    from evalharness.throttle.waiters import EndpointPaused

    clock = ManualClock()
    gate = EndpointLimiter("test", LimitsConfig(concurrency=1), Profile(), clock)
    first = await gate.admit()
    waiting = [asyncio.create_task(gate.admit(patient=False)) for _ in range(3)]
    patient = asyncio.create_task(gate.admit())
    await clock.settle()
    gate.pause(20.0, "429")
    await clock.settle()
    for task in waiting:
        with pytest.raises(EndpointPaused) as held:
            await task
        assert held.value.seconds == 20.0
    assert gate.blocked_for_s() == 20.0
    with pytest.raises(EndpointPaused):
        await gate.admit(patient=False)
    first.release(delivered())
    await clock.advance(31.0)
    assert patient.done()
    assert gate.blocked_for_s() == 0.0


async def test_what_is_missing_beside_the_endpoint_is_waited_for_and_said() -> None:
    """take() is asked when all else allows; False waits for the next wake, in order of arrival."""
    clock = ManualClock()
    gate = EndpointLimiter("test", LimitsConfig(concurrency=9, rpm=600), Profile(), clock)
    room: list[int] = []
    asked: list[str] = []

    def taker(name: str):
        def take() -> bool:
            asked.append(name)
            return bool(room) and room.pop() is not None

        return take

    tasks = [asyncio.create_task(gate.admit(reserve=taker(name))) for name in "ab"]
    await clock.advance(5.0)
    assert not any(task.done() for task in tasks)
    assert "b" not in asked
    state = gate.wait_state()
    assert state is not None
    assert "max_cost_usd" in state.reason
    room.append(1)
    gate.wake()
    await clock.settle()
    assert [task.done() for task in tasks] == [True, False]
    room.append(1)
    gate.wake()
    await clock.settle()
    assert tasks[1].done()
