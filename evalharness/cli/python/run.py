"""``evalharness.run(…)``: the run of the command, called from Python.

The run has an event loop and a thread of its own, so it works inside a loop that runs already (a
notebook) and in any thread. Where the caller is the main thread, Ctrl-C stops the run as on the
terminal: the first waits for what is in flight, the second does not.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Generic, TypeVar

from evalharness.api import RunFrames
from evalharness.cli.execution.execute_run import SendOptions, finish_report, send_run
from evalharness.cli.python.keyword_config import compose_keywords
from evalharness.errors import (
    EXIT_ACCOUNT,
    EXIT_BUDGET,
    EXIT_CONFIG,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_STORAGE,
    AccountError,
    BudgetReachedError,
    ConfigError,
    EvalharnessError,
    StorageError,
)
from evalharness.process.interrupts import Interrupts, interruptible
from evalharness.runner import RunSummary
from evalharness.runner.progress import SilentProgress, progress_for_terminal

T = TypeVar("T")
_ERRORS: dict[int, type[EvalharnessError]] = {
    EXIT_CONFIG: ConfigError,
    EXIT_ACCOUNT: AccountError,
    EXIT_BUDGET: BudgetReachedError,
    EXIT_STORAGE: StorageError,
}
_POLL_S = 0.1


def run_keywords(
    overrides: Sequence[str], given: Mapping[str, Any], *, progress: bool, retry_errors: bool
) -> RunFrames:
    """Run or continue what the keywords describe, and open it.

    Raises:
        EvalharnessError: what the command would end with (:mod:`evalharness.errors`).
        KeyboardInterrupt: Ctrl-C; what was recorded is kept.
    """
    with interruptible() as interrupts:
        thread = _RunThread(lambda: _run(overrides, given, progress, retry_errors))
        thread.start()
        while thread.is_alive():
            thread.join(_POLL_S)  # signals are handled between two of these
        return _opened(thread, interrupts)


async def arun_keywords(
    overrides: Sequence[str], given: Mapping[str, Any], *, progress: bool, retry_errors: bool
) -> RunFrames:
    """The same without holding the caller's event loop; cancelling it is a Ctrl-C."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    with interruptible() as interrupts:
        thread = _RunThread(
            lambda: _run(overrides, given, progress, retry_errors),
            at_end=lambda: _wake(loop, ended),
        )
        thread.start()
        cancelled: asyncio.CancelledError | None = None
        while not ended.is_set():
            try:
                await ended.wait()
            except asyncio.CancelledError as error:
                cancelled = error
                interrupts.deliver(signal.SIGINT)
        if cancelled is not None:
            raise cancelled
        return _opened(thread, interrupts)


def _wake(loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
    with suppress(RuntimeError):  # the caller's loop is closed: nobody waits any more
        loop.call_soon_threadsafe(ended.set)


class _RunThread(threading.Thread, Generic[T]):
    """A thread with a result."""

    def __init__(
        self, function: Callable[[], T], at_end: Callable[[], object] | None = None
    ) -> None:
        super().__init__(daemon=True, name="evalharness-run")
        self._function, self._at_end = function, at_end
        self.value: T | None = None
        self.error: BaseException | None = None

    def run(self) -> None:
        """Call the function and keep what comes of it."""
        try:
            self.value = self._function()
        except BaseException as error:
            self.error = error
        finally:
            if self._at_end is not None:
                self._at_end()


def _opened(thread: _RunThread[RunFrames], interrupts: Interrupts) -> RunFrames:
    if thread.error is not None:
        if interrupts.pending and not isinstance(thread.error, EvalharnessError):
            raise KeyboardInterrupt from None
        raise thread.error
    assert thread.value is not None, "it ended without an error"
    return thread.value


def _run(
    overrides: Sequence[str], given: Mapping[str, Any], progress: bool, retry_errors: bool
) -> RunFrames:
    job = compose_keywords(overrides, given)
    shown = progress_for_terminal() if progress else SilentProgress()
    root, summary = send_run([job], SendOptions(retry_errors=retry_errors, progress=shown))
    if summary.exit_code in (EXIT_OK, EXIT_FAILED):
        finish_report(root)
        return RunFrames.open(root)
    if summary.exit_code == EXIT_INTERRUPTED:
        raise KeyboardInterrupt(f"{summary.remaining} trials left; run it again to go on")
    raise _stopped(summary)


def _stopped(summary: RunSummary) -> EvalharnessError:
    stop = summary.stop
    assert stop is not None, "only a stop has such an exit code"
    error = _ERRORS.get(stop.exit_code, EvalharnessError)
    recorded = (
        f"{summary.recorded + summary.already_recorded} of {summary.planned} trials are recorded"
    )
    return error(f"{stop.reason}; {recorded}", hint=stop.hint or "call it again to go on")
