"""Runs that stand still for a while, and a time of day that is set while they go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

import evalharness
from tests.durability.processes import Emulator, ForkServer, compile_library

Emulate = Callable[..., AbstractContextManager[Emulator]]

PLAN = ("sweep=none", "scoring=none", "dataset.limit=4", "repeats=2", "limits.concurrency=8")


def _wait_until_answered(emulator: Emulator, count: int, beyond_s: float) -> None:
    """Wait until so many requests are answered, and for longer than a time limit."""
    emulator.wait_until_received(count)
    until = time.monotonic() + beyond_s
    emulator.wait_until_served(count)
    while (left := until - time.monotonic()) > 0:
        time.sleep(left)


@pytest.mark.parametrize("transport", ["auto", "reqwest", "httpx"])
def test_what_came_while_it_was_stopped_is_not_bought_again(
    fork_server: ForkServer, emulate: Emulate, tmp_path: Path, transport: str
) -> None:
    """Eight answers come after SIGSTOP and every limit passes: after SIGCONT eight are recorded."""
    limits = (
        "limits.timeout_first_byte_s=1.5", "limits.timeout_stall_s=1.5",
        "limits.timeout_total_s=1.5", f"transport={transport}",
    )  # fmt: skip
    with emulate("--ttft-ms", "800", "--output-tokens", "4") as emulator:
        running = fork_server.start(tmp_path, "run", "name=r", *emulator.provider, *PLAN, *limits)
        emulator.wait_until_received(8)
        running.signal(signal.SIGSTOP)
        _wait_until_answered(emulator, 8, 3.0)
        running.signal(signal.SIGCONT)
        done = running.wait()
        assert done.code == 0, done.err
        assert len(emulator.ledger()) == 8
    attempts = evalharness.load(tmp_path / "results" / "r").attempts()
    assert attempts["outcome"].tolist() == ["delivered"] * 8


def test_a_drain_goes_on_where_it_was_stopped(
    fork_server: ForkServer, emulate: Emulate, tmp_path: Path
) -> None:
    """SIGTERM, then SIGSTOP for longer than ``limits.drain_s``: what came is recorded all the same."""
    with emulate("--ttft-ms", "1000", "--output-tokens", "4") as emulator:
        running = fork_server.start(
            tmp_path, "run", "name=r", *emulator.provider, *PLAN, "limits.drain_s=2",
        )  # fmt: skip
        emulator.wait_until_received(8)
        running.signal(signal.SIGTERM)
        while "finishing" not in running.errors():
            assert running.poll() is None
        running.signal(signal.SIGSTOP)
        _wait_until_answered(emulator, 8, 4.0)
        running.signal(signal.SIGCONT)
        done = running.wait()
    assert done.code == 0, done.err  # nothing was left
    assert len(evalharness.load(tmp_path / "results" / "r").records()) == 8


def test_no_duration_holds_a_step_of_the_time_of_day(emulate: Emulate, tmp_path: Path) -> None:
    """The clock is set two hours forward in the middle: no wait and no span has them."""
    library = compile_library("clock_step", tmp_path)
    if library is None:
        pytest.skip("no C compiler: the clock cannot be set")
    step = tmp_path / "step"
    environment = {**os.environ, "LD_PRELOAD": str(library), "CLOCK_STEP_FILE": str(step)}
    with emulate("--ttft-ms", "100", "--error-rate", "0.2") as emulator:
        command = [
            sys.executable, "-m", "evalharness", "run", "name=r", *emulator.provider,
            *PLAN, "repeats=10", "limits.concurrency=4", "limits.rpm=2400",
        ]  # fmt: skip
        with subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            emulator.wait_until_received(8)
            step.touch()
            _, err = process.communicate(timeout=120)
    assert process.returncode in (0, 1), err
    run = evalharness.load(tmp_path / "results" / "r")
    attempts = run.attempts()
    assert len(attempts) >= 40
    assert attempts["queue_s"].max() < 60
    assert attempts["latency_s"].max() < 60
    sent = attempts["sent_at"]
    assert (sent.max() - sent.min()).total_seconds() < 60
    assert (sent - attempts["scheduled_at"]).abs().max().total_seconds() < 60
