"""Settings that hold for the whole process, each with its reason and its measured effect.

They are: garbage collector, switch interval of the interpreter's lock, memory given back to the
system, import finders, threads of native libraries, priority. (The emulator is a process of its own
and freezes its garbage itself, in ``emulator/server.py``.) Nothing heavy is imported here: every
command passes through.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress

# CPython looks for reference cycles every 700 allocations.
_ALLOCATIONS = 50_000


@contextmanager
def fewer_collections() -> Generator[None]:
    """Inside, reference cycles are looked for every 50,000 allocations instead of every 700.

    Reason: what a command imports and reads stays until its end, and would be searched again and
    again. Measured: a tenth of the time to a first request.
    """
    thresholds = gc.get_threshold()
    gc.set_threshold(_ALLOCATIONS, *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)


@contextmanager
def tuned_interpreter() -> Generator[None]:
    """Settings while requests are sent: few garbage collections, a shorter switch interval.

    Garbage collector. Reason: replies, intents and rows hold no cycles, so reference counts free
    them and a search finds nothing; what was imported and planned before is frozen, so that it is
    not searched at all. Measured against CPython's defaults (medians of five runs of 12,000 trials
    on two busy cores): with 500 requests in flight 298 instead of 358 µs of processor time a trial;
    with 64 no difference.

    Switch interval, 2 ms instead of 5. Reason: the journal's thread and those of the HTTP client
    need the interpreter's lock a few times a batch, and may wait for it as long as a sync of the
    disk takes. Measured: 0.5 ms cost more than it saved, above all while a part was sealed
    (docs/performance.md); the difference to 5 ms was below the noise of those five runs.
    """
    with fewer_collections(), _switch_interval(0.002):
        gc.freeze()
        try:
            yield
        finally:
            gc.unfreeze()


@contextmanager
def short_switch_interval() -> Generator[None]:
    """A switch interval of 0.5 ms while a report's parts are read in a thread of their own.

    Reason: scoring never waits for anything, so it would keep the interpreter's lock for 5 ms at a
    time, and the next part would not be read when this one is done. Measured: not by itself.
    """
    with _switch_interval(0.0005):
        yield


@contextmanager
def _switch_interval(seconds: float) -> Generator[None]:
    """Another switch interval of the interpreter's lock (CPython's default is 5 ms)."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(seconds)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def release_free_memory() -> None:
    """Give memory that is free in Arrow's pool and in the C library's heap back to the system.

    Reason: both keep it for later, and a report needs less after reading than while it reads.
    Measured: a quarter of the memory of a report of 10⁷ records.
    """
    import ctypes

    import pyarrow as pa

    pa.default_memory_pool().release_unused()
    with suppress(AttributeError, OSError):  # a C library other than glibc
        ctypes.CDLL(None).malloc_trim(0)


class _NoPandas:
    """An import finder that reports pandas as missing."""

    @staticmethod
    def find_spec(name: str, _path: object = None, _target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name)


def avoid_pandas_import() -> None:
    """Keep pyarrow from importing pandas, for commands that hand no Series to pyarrow.

    Reason: the first ``pyarrow.array`` of a process, of whatever, imports pandas in order to
    recognise one of its Series. It is called here while an import finder in ``sys.meta_path`` says
    that there is no pandas; code that makes data frames finds pandas later all the same. Nothing
    happens where pandas is imported already. Measured: a fifth of a second of a report's start.
    """
    if "pandas" in sys.modules:
        return
    import pyarrow as pa

    sys.meta_path.insert(0, _NoPandas)
    try:
        pa.array([])
    finally:
        sys.meta_path.remove(_NoPandas)


def limit_blas_threads() -> None:
    """Give numpy's linear algebra library one thread, unless the user has set another number.

    Call it before numpy is imported: the library reads the variable once. Reason: its threads spin
    while they wait for each other after every product; the comparisons share out their work
    themselves (``analysis/stats/permutation.py``). Measured: with two threads the sign flips took
    twice the processor time on a quiet machine and ten times on a busy one, and starting the
    threads doubled the time to import numpy (docs/decisions/0011-analysis-at-scale.md).
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def limit_openmp_spinning() -> None:
    """Let OpenMP threads that wait for each other give their core away soon.

    Call it before the library is loaded, which reads the variable then; a user's own OpenMP
    settings are left alone. Reason: llama.cpp's threads meet hundreds of times a token, and by
    default a waiting one spins; where other processes need the cores, that starves the very thread
    it waits for. Measured: with other busy processes on two cores, 33 to 40 tokens/s instead of
    under 5.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def lower_priority() -> None:
    """Let other processes go first.

    Reason: no part that the sealing process makes is urgent, and the event loop notes times late
    by as long as it waits for a core. Measured: not by itself.
    """
    os.nice(5)
