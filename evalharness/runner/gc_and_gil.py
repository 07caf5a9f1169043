"""Settings of the interpreter while requests are sent: quick turns, little garbage collection."""

from __future__ import annotations

import gc
import sys
from collections.abc import Generator
from contextlib import contextmanager

# Replies, intents and rows hold no cycles: reference counts free them, and looking for cycles
# among those in flight every 700 allocations (CPython's default) finds nothing.
_ALLOCATIONS = 50_000
# The journal's thread and those of the HTTP client need the interpreter's lock a few times a
# batch, and CPython lets each wait 5 ms for it: as long as a sync of the disk. Much shorter turns
# cost more in switching, above all while a part is sealed, than they save in waiting.
_TURN_S = 0.002


@contextmanager
def quick_turns() -> Generator[None]:
    """Inside, other threads wait less for the interpreter, and garbage is looked for less often."""
    thresholds, turn_s = gc.get_threshold(), sys.getswitchinterval()
    sys.setswitchinterval(_TURN_S)
    gc.freeze()  # what was imported and planned so far stays: not to be looked through again
    gc.set_threshold(_ALLOCATIONS, *thresholds[1:])
    try:
        yield
    finally:
        sys.setswitchinterval(turn_s)
        gc.set_threshold(*thresholds)
        gc.unfreeze()
