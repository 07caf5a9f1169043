"""Who reads the output may go away at any time: what is done and the exit code stay the same."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import evalharness as package

RUN = ("run", "provider=emulator", "name=p", "sweep=none", "scoring=includes", "dataset.limit=4")
SLOW = (*RUN, "repeats=40", "limits.concurrency=2", "provider.emulator.ttft_ms=40")


@contextlib.contextmanager
def _started(
    folder: Path, *arguments: str, unheard: str
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A command whose stream(s) ``unheard`` go into a pipe; gives it and the end to read."""
    reading, writing = os.pipe()
    streams = {name: writing if name in unheard else subprocess.PIPE for name in ("out", "err")}
    with subprocess.Popen(
        [sys.executable, "-m", "evalharness", *arguments],
        cwd=folder, stdin=subprocess.DEVNULL, text=True, start_new_session=True,
        stdout=streams["out"], stderr=streams["err"],
    ) as process:  # fmt: skip
        os.close(writing)
        try:
            yield process, reading
        finally:
            process.kill()


def _unread(folder: Path, *arguments: str, unheard: str) -> tuple[int, str, str]:
    with _started(folder, *arguments, unheard=unheard) as (process, reading):
        os.close(reading)
        out, err = process.communicate(timeout=120)
        return process.returncode, out or "", err or ""


def test_ctrl_c_that_also_kills_tee_still_drains_and_seals(tmp_path: Path) -> None:
    """The pipe breaks, then SIGINT comes: 130, interrupted, everything that arrived is recorded."""
    with _started(tmp_path, *SLOW, unheard="out err") as (process, reading):
        assert os.read(reading, 1)  # it has begun
        os.close(reading)
        parts = tmp_path / "results" / "p" / "journal" / "journal.sqlite"
        while process.poll() is None and not parts.exists():
            pass
        while process.poll() is None and _results(parts) < 3:
            pass
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(60) == 130
    run = package.load(tmp_path / "results" / "p")
    assert run.manifest.status == "interrupted"
    assert 3 <= len(run.records()) < 160
    assert (run.attempts()["outcome"] != "not_sent").sum() == len(run.records())


def _results(journal: Path) -> int:
    import sqlite3

    try:
        with contextlib.closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as db:
            return db.execute("SELECT count(*) FROM entry WHERE kind = 2").fetchone()[0]
    except sqlite3.OperationalError:
        return 0


@pytest.mark.parametrize("unheard", ["err", "out"])
def test_a_run_nobody_listens_to_goes_on_to_its_end(tmp_path: Path, unheard: str) -> None:
    """``2> >(head -1)`` and ``| head``: complete, exit 0, the other stream whole."""
    code, out, err = _unread(tmp_path, *RUN, "repeats=2", unheard=unheard)
    assert code == 0, err
    assert package.load(tmp_path / "results" / "p").manifest.status == "complete"
    assert "same text" in out if unheard == "err" else "8 requests sent" in err
    pilot = ("plan", "--pilot", "2", *RUN[1:], "name=q", "repeats=2")
    assert _unread(tmp_path, *pilot, unheard=unheard)[0] == 0
    judging = ("judge", "p", "provider=emulator", "repeats=1")
    assert _unread(tmp_path, *judging, unheard=unheard)[0] == 0


def test_reports_and_gates_say_the_same_to_nobody(tmp_path: Path) -> None:
    """``report | head`` is no failure; a gate that does not hold stays one."""
    assert _unread(tmp_path, *RUN, "repeats=1", unheard="out")[0] == 0
    for command in (["report", "p"], ["show", "p", "capital-france"]):
        code, _, err = _unread(tmp_path, *command, unheard="out")
        assert (code, err) == (0, ""), command
    assert _unread(tmp_path, "export", "p", "--format", "csv", unheard="out")[0] == 0
    assert _unread(tmp_path, "check", "p", "--max-latency-p50-s", "0", unheard="out")[0] == 1
