"""Time limits hold even over a library that swallows a cancellation."""

from __future__ import annotations

import asyncio

import pytest

from evalharness.http.timeouts import ExchangeTimer
from evalharness.records import ErrorKind


async def swallowing() -> None:
    """Wait for ever; answer the first cancellation by returning normally."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        return


async def test_swallowed_deadline_is_delivered() -> None:
    """A deadline whose cancellation was swallowed shows at the next phase."""
    watch = ExchangeTimer(0.01)
    with watch:
        await swallowing()
        with pytest.raises(asyncio.CancelledError):
            watch.start_phase(ErrorKind.STALL_TIMEOUT, 60)
    assert watch.expired is ErrorKind.TOTAL_TIMEOUT
    assert watch.absorb_cancellation()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_swallowed_cancellation_from_outside_is_delivered() -> None:
    """Somebody else's cancellation is not taken for the watch's own, nor lost."""

    async def work() -> None:
        watch = ExchangeTimer(60)
        with watch:
            started.set()
            await swallowing()
        assert not watch.absorb_cancellation()
        watch.raise_if_cancelled()

    started = asyncio.Event()
    task = asyncio.create_task(work())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_moving_deadline() -> None:
    """A deadline that moved on does not ring at its old place; the new one does."""
    watch = ExchangeTimer(60, ErrorKind.FIRST_BYTE_TIMEOUT, 60)
    with watch:
        watch.start_phase(ErrorKind.STALL_TIMEOUT, 0.01)
        watch.start_phase(ErrorKind.STALL_TIMEOUT, 30)
        await asyncio.sleep(0.05)
        assert watch.expired is None
        watch.start_phase(ErrorKind.STALL_TIMEOUT, 0.01)
        with pytest.raises(asyncio.CancelledError):
            await asyncio.Event().wait()
    assert watch.expired is ErrorKind.STALL_TIMEOUT
    assert watch.absorb_cancellation()
