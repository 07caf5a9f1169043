"""The event loop that sends: uvloop, and a garbage collector that keeps out of the way."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

# Replies, intents and rows hold no cycles: reference counts free them, and looking for cycles
# among those in flight every 700 allocations (CPython's default) finds nothing.
_ALLOCATIONS = 50_000


def run_on_loop(main: Coroutine[Any, Any, T]) -> T:
    """Run ``main`` to its end on a fresh event loop, as :func:`asyncio.run` does."""
    import uvloop

    thresholds = gc.get_threshold()
    gc.freeze()  # what was imported and planned so far stays: not to be looked through again
    gc.set_threshold(_ALLOCATIONS, *thresholds[1:])
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(main)
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()
