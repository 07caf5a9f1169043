"""A signal at any instant of a command that sends requests."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from evalharness.cli.execution.event_loop import run_on_loop
from evalharness.cli.execution.signals import stop_on_signals
from evalharness.process.interrupts import interruptible
from evalharness.runner import StopReason
from evalharness.runner.progress import LineProgress

_FILES = (
    "event_loop.py",
    "interrupts.py",
    "signals.py",
    "runners.py",
    "contextlib.py",
    "tuning.py",
)


class _Sender:
    """Sends nothing, and ends when it is stopped."""

    def __init__(self) -> None:
        self.stopped = asyncio.Event()

    def stop(self, decision: StopReason) -> None:
        assert decision.exit_code == 130
        self.stopped.set()

    def abandon(self) -> None:
        raise AssertionError("one signal only waits")


class _SignalAtLine:
    """Raises a signal at the n-th line that is executed in the files around the event loop."""

    def __init__(self, n: int, number: signal.Signals) -> None:
        self._left, self._number = n, number
        self.raised = False

    def __call__(self, frame: FrameType, event: str, _: object) -> Any:
        if not frame.f_code.co_filename.endswith(_FILES):
            return None
        if event == "line":
            self._left -= 1
            if self._left == 0:
                sys.settrace(None)
                self.raised = True
                signal.raise_signal(self._number)
        return self


async def _send() -> str:
    sender = _Sender()
    with stop_on_signals(sender, LineProgress()):
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    return "stopped" if sender.stopped.is_set() else "done"


def _signal_at_line(n: int, number: signal.Signals) -> tuple[bool, str]:
    tracer = _SignalAtLine(n, number)
    try:
        with interruptible():
            sys.settrace(tracer)
            try:
                outcome = run_on_loop(_send)
            finally:
                sys.settrace(None)
    except KeyboardInterrupt:
        outcome = "interrupted"
    return tracer.raised, outcome


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_at_any_line_around_the_loop_is_heard(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stops the sender or the command, leaves no coroutine behind, and is never lost."""
    lost: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lost.append)
    outer = signal.getsignal(number)
    signal.signal(number, signal.SIG_DFL)  # under `nohup` it is ignored
    outcomes = set[str]()
    n = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        raised = True
        while raised:
            n += 1
            raised, outcome = _signal_at_line(n, number)
            assert raised or outcome == "done"
            assert not raised or outcome in {"stopped", "interrupted"}, n
            outcomes.add(outcome)
            assert not lost, (n, lost)
            assert signal.getsignal(number) == signal.SIG_DFL
    signal.signal(number, outer)
    assert n > 100
    assert outcomes == {"stopped", "interrupted", "done"}


def test_tests_hear_sigint_where_their_shell_ignores_it() -> None:
    """Started in the background of a script (SIGINT ignored), no test waits for a deaf command."""
    name = "test_a_signal_at_any_line_around_the_loop_is_heard[2]"
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", f"{__file__}::{name}"]
    done = subprocess.run(
        ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *command],
        capture_output=True, text=True, check=False, timeout=120, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
