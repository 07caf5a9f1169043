"""Waiters are woken in batches, all of them and in order."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from evalharness.process.fair_wakeup import BatchedWakeups


@given(st.lists(st.booleans(), max_size=400))
def test_slices_resolve_all_in_order(cancelled: list[bool]) -> None:
    """Every future gets its own result, in the order they were put; a cancelled one stays so."""

    async def main() -> None:
        slices: BatchedWakeups[int] = BatchedWakeups()
        loop, order = asyncio.get_running_loop(), list[int]()
        futures = [loop.create_future() for _ in cancelled]
        for n, future in enumerate(futures):
            future.add_done_callback(
                lambda done: None if done.cancelled() else order.append(done.result())
            )
            slices.put(future, n)
            if cancelled[n]:
                future.cancel()
        await asyncio.gather(*futures, return_exceptions=True)
        await asyncio.sleep(0)
        # The first few were resolved at once, before they could be cancelled.
        kept = [n for n, future in enumerate(futures) if not future.cancelled()]
        assert order == kept
        assert all(futures[n].result() == n for n in kept)
        assert set(kept) >= {n for n, gone in enumerate(cancelled) if not gone}

    asyncio.run(main())


async def test_slices_let_the_loop_look_around() -> None:
    """While many results wait, other callbacks get their turn between them."""
    slices: BatchedWakeups[int] = BatchedWakeups()
    loop, seen = asyncio.get_running_loop(), list[str]()
    futures = [loop.create_future() for _ in range(64)]
    for n, future in enumerate(futures):
        future.add_done_callback(lambda _: seen.append("result"))
        slices.put(future, n)
    loop.call_soon(seen.append, "other")
    await asyncio.gather(*futures)
    assert 0 < seen.index("other") < 64
