"""Limits and pauses through the real command, judged by the emulator's limiter and ledger."""

from __future__ import annotations

import json
import signal
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import evalharness as package
from tests.durability.processes import Emulator, ForkServer

# Twelve prompts; every request is about as large as the others.
PLAN = (
    "sweep=none", "scoring=none", "params.max_tokens=8", "limits.concurrency=64",
)  # fmt: skip


def _run(emulator: Emulator, *more: str, name: str = "r") -> list[str]:
    return ["run", f"name={name}", *emulator.provider, *PLAN, *more]


@pytest.mark.parametrize(
    ("ours", "server"),
    [
        # Three seconds of 20 a second and a burst of 20 are 78; the rest is for unequal delays.
        (["limits.rpm=1200"], ["--rpm", "92"]),
        # Three seconds of the pace and five ahead; the estimate of the first requests is higher.
        (["limits.tpm=90000"], ["--tpm", "13000"]),
    ],
    ids=["rpm", "tpm"],
)
def test_the_emulator_s_own_limiter_refuses_nothing(
    fork_server: ForkServer, emulate: Any, tmp_path: Path, ours: list[str], server: list[str]
) -> None:
    """P8: 64 at once with the limit configured: zero 429. Without it the limiter does refuse."""
    limiter = ["--limit-window-s", "3", "--limit-retry-after", "float", *server]
    tokens = "--tpm" in server
    size = ["--output-tokens", "100"] if tokens else []
    plan = ["params.max_tokens=100" if tokens else "params.max_tokens=8"]
    with emulate(*limiter, *size) as emulator:
        done = fork_server.run(tmp_path, *_run(emulator, *plan, *ours, "repeats=8"), quiet=True)
        assert done.code == 0, done.err
        assert Counter(row["status"] for row in emulator.ledger()) == {200: 96}
        hasty = _run(emulator, *plan, "repeats=12", "limits.max_attempts=1", name="hasty")
        assert fork_server.run(tmp_path, *hasty, quiet=True).code == 1
        assert Counter(row["status"] for row in emulator.ledger())[429] > 0


def test_no_worker_undercuts_a_retry_after(
    fork_server: ForkServer, emulate: Any, tmp_path: Path
) -> None:
    """P9: every form of the header, 64 workers: nobody is let go before the server's time.

    When a reply was decided about is known exactly: the retry was due ``backoff_s`` later.
    """
    forms = ("retry-after=1", "retry-after=0.4", "retry-after-ms=300", "retry-after-date=2")
    faults = [x for form in forms for x in ("--fault", f"status=429;{form}=0.03")]
    with emulate(*faults, "--ttft-ms", "20", "--delay-sigma", "0.5") as emulator:
        arguments = _run(emulator, "repeats=10", "limits.max_attempts=9")
        done = fork_server.run(tmp_path, *arguments, quiet=True)
    assert done.code == 0, done.err
    attempts = package.load(tmp_path / "results" / "r").attempts()
    attempts = attempts.sort_values(["trial_id", "attempt"])
    admitted = attempts["admitted_at"].astype("int64").to_numpy()
    refused = attempts[~attempts["final"]]
    assert len(refused) >= 8
    kinds: set[str] = set()
    for row, later in zip(refused.itertuples(), refused.index, strict=True):
        following = attempts.iloc[attempts.index.get_loc(later) + 1]
        assert (following["trial_id"], following["attempt"]) == (row.trial_id, row.attempt + 1)
        decided = following["scheduled_at"].value - int(row.backoff_s * 1e9)
        headers = json.loads(row.headers_json)
        name = next(n for n in ("retry-after-ms", "retry-after") if n in headers)
        kinds.add(f"{name}{' date' if ',' in headers[name] else ''}")
        asked_s = _least(name, headers[name])
        early = (admitted > decided) & (admitted < decided + int((asked_s - 0.005) * 1e9))
        assert not early.any(), headers
    assert kinds == {"retry-after", "retry-after-ms", "retry-after date"}


def _least(name: str, value: str) -> float:
    """Seconds the server asked for at least; a date has whole seconds, so 2 s ahead is over 1."""
    if "," in value:
        return 1.0
    return float(value) / (1000 if name.endswith("ms") else 1)


def test_a_wait_that_is_too_long_stops_the_run_resumably(
    fork_server: ForkServer, emulate: Any, tmp_path: Path
) -> None:
    """Above limits.max_wait_s: exit 3. Started again at once it asks with one request alone."""
    with emulate("--fault", "status=429;retry-after=5000=1") as emulator:
        arguments = _run(emulator, "repeats=10")
        done = fork_server.run(tmp_path, *arguments)
        assert done.code == 3, done.err
        assert "asks to wait 5000 s, above limits.max_wait_s=900" in done.err
        assert done.last_line.startswith("120 trials left; to go on: evalharness run name=r")
        run = package.load(tmp_path / "results" / "r")
        assert run.manifest.status == "stopped"
        assert len(run.records()) == 0
        before = len(emulator.ledger())
        assert before <= 64
        again = fork_server.run(tmp_path, *arguments)
        assert again.code == 3
        assert len(emulator.ledger()) == before + 1
    with emulate() as emulator:
        # Another address is another endpoint to the plan; the folder is as good as before.
        assert fork_server.run(tmp_path, *_run(emulator, "repeats=10"), quiet=True).code == 0


def test_a_pause_goes_on_after_a_restart_and_ctrl_c_ends_it_at_once(
    fork_server: ForkServer, emulate: Any, tmp_path: Path
) -> None:
    """Waiting is said with the time left; SIGINT ends it; the next process waits the rest."""
    with emulate("--fault", "status=429;retry-after=600=1") as emulator:
        arguments = _run(emulator, "repeats=10")
        for _ in range(2):
            command = fork_server.start(tmp_path, *arguments)
            while "s left" not in command.errors():
                assert command.poll() is None
            before = len(emulator.ledger())
            command.signal(signal.SIGINT)
            done = command.wait()
            assert done.code == 130, done.err
            assert "waiting for openai_compatible: paused: " in done.err
            assert done.last_line.startswith("120 trials left; to go on: ")
        # The second process found the pause in the folder and sent nothing.
        assert before == len(emulator.ledger()) <= 64
        assert "the server asked for it before this run was continued" in done.err


def test_a_killed_process_s_last_minute_counts_for_the_next(
    fork_server: ForkServer, emulate: Any, tmp_path: Path
) -> None:
    """P8 over kill -9: 30 a minute, killed and started four times: the minute has at most 30."""
    with emulate() as emulator:
        arguments = _run(emulator, "repeats=20", "limits.rpm=30")
        for _ in range(4):
            sent = emulator.served()
            command = fork_server.start(tmp_path, *arguments, composed=True)
            emulator.wait_until_served(sent + 1)
            command.signal(signal.SIGKILL)
            command.wait()
        moments = sorted(row["received_at_ns"] for row in emulator.ledger())
    gaps = [(b - a) / 1e9 for a, b in pairwise(moments)]
    # One every 61 / 30 s, with no burst: a start that knew nothing would send at once.
    assert len(moments) >= 4
    assert min(gaps) > 1.5, gaps


def test_what_is_waited_for_is_in_the_bar_and_in_the_lines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A terminal counts down in the bar; a log gets a line for a new reason, not one a second."""
    from evalharness.runner.progress import BarProgress, LineProgress

    lines = LineProgress()
    lines.start(total=5, done=0, label="r")
    for left in range(20, 0, -1):
        lines.show_wait("waiting for x: paused: 429", float(left))
    lines.show_wait(None)
    lines.show_wait("waiting for x: paused: 503", 3.0)
    said = [line for line in capsys.readouterr().err.splitlines() if "waiting" in line]
    assert said == [
        "r: waiting for x: paused: 429, 20 s left", "r: waiting for x: paused: 503, 3 s left",
    ]  # fmt: skip
    bar = BarProgress()
    bar.start(total=5, done=0, label="r")
    bar.show_wait("waiting for x: paused: 429", 20.0)
    bar.show_wait("waiting for x: paused: 429", 19.0)
    bar.close()
    shown = capsys.readouterr().err
    assert "paused: 429, 20 s left" in shown
    assert "paused: 429, 19 s left" in shown
