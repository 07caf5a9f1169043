"""A disk that fills up during a run: a small tmpfs, filled by the answers themselves."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import evalharness
from evalharness.errors import EXIT_STORAGE
from evalharness.store.parts.verify import verify_folder
from tests.durability.invariants import (
    final_state_is_sound,
    record_contents,
    recorded_requests,
    requests_sent_twice_are_in_doubt,
)
from tests.durability.processes import QUOTA, Emulator, Fault, ForkServer, emulating

# 20 answers of about 250 kB: more than 19 MiB less the 16 MiB that are set aside.
PLAN = (
    "dataset.limit=5", "sweep.seed=[1,2]", "sweep.temperature=null", "repeats=2",
    "limits.concurrency=4", "params.max_tokens=30000",
)  # fmt: skip
PLANNED = 20
SMALL, LARGE = "19m", "200m"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 19 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SMALL}", "tmpfs", str(disk)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"no mount command: {error}")
    if done.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(disk: Path, *, leave: int) -> Path:
    """Take all room on a disk but ``leave`` bytes."""
    filler = disk / "filler"
    stat = os.statvfs(disk)
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, stat.f_bavail * stat.f_frsize - leave))
    return filler


def test_a_full_disk_loses_no_answer(
    fork_server: ForkServer, small_disk: Path, tmp_path: Path
) -> None:
    """P6: on a full disk the run saves what is in flight, ends with 74, and can be continued."""
    with emulating(tmp_path, "--output-tokens", "30000") as emulator:
        arguments = (
            "run", "name=full", *emulator.provider, *PLAN, f"results_dir={small_disk}/results",
        )  # fmt: skip
        root = small_disk / "results" / "full"
        stopped = fork_server.run(tmp_path, *arguments, quiet=True)
        assert stopped.code == EXIT_STORAGE, stopped.err
        assert "the disk is full" in stopped.err
        assert "could not be saved" not in stopped.err
        assert "Traceback" not in stopped.err
        assert "to go on: evalharness run" in stopped.last_line
        ledger = emulator.ledger()
        sent = {request["client_request_id"] for request in ledger}
        assert 0 < len(sent) < PLANNED
        assert sent <= recorded_requests(root), "an answer that arrived was not saved"
        attempts = evalharness.load(root).table("attempts", ["client_request_id", "outcome"])
        outcomes = dict(zip(*attempts.to_pydict().values(), strict=True))
        # Written, and then not sent, because the disk turned out to be full meanwhile.
        assert {outcomes[request] for request in outcomes.keys() - sent} <= {"not_sent"}
        assert verify_folder(root).is_sound

        subprocess.run(["mount", "-o", f"remount,size={LARGE}", str(small_disk)], check=True)
        assert fork_server.run(tmp_path, *arguments, quiet=True).code == 0
        whole = ("run", "name=whole", *emulator.provider, *PLAN)
        assert len(emulator.ledger()) == PLANNED, "something was bought twice"
        assert requests_sent_twice_are_in_doubt(emulator.ledger(), root) == 0
        assert fork_server.run(tmp_path, *whole, quiet=True).code == 0
        final_state_is_sound(
            root, expected=record_contents(tmp_path / "results" / "whole"), planned=PLANNED
        )


@pytest.mark.parametrize("at", [120, 123])
def test_a_quota_used_up_is_a_full_disk(faulty: ForkServer, tmp_path: Path, at: int) -> None:
    """P6: refused with EDQUOT, which SQLite takes for a broken disk, answers are saved all the same."""
    with emulating(tmp_path) as emulator:
        arguments = ("run", "name=q", *emulator.provider, "dataset.limit=10", "sweep=none",
                     "repeats=4", "limits.concurrency=2")  # fmt: skip
        stopped = faulty.run(tmp_path, *arguments, quiet=True, fault=Fault(at, QUOTA))
        assert stopped.code == EXIT_STORAGE, stopped.err
        assert "the disk is full" in stopped.err
        assert "could not be saved" not in stopped.err
        sent = {request["client_request_id"] for request in emulator.ledger()}
        root = tmp_path / "results" / "q"
        assert 0 < len(sent) < 40
        assert sent <= recorded_requests(root), "an answer that arrived was not saved"
        assert faulty.run(tmp_path, *arguments, quiet=True).code == 0
        assert len(emulator.ledger()) == 40, "something was bought twice"


def test_the_reserve_grows_with_the_answers_in_flight(
    fork_server: ForkServer, small_disk: Path, tmp_path: Path
) -> None:
    """P6: 48 at once of a megabyte each are three times the first reserve, and none is lost.

    What max_tokens says of their size is far too little: each token brings twenty others and their
    probabilities. Answers come at different times, so that most are in flight when the disk is full.
    """
    subprocess.run(["mount", "-o", "remount,size=110m", str(small_disk)], check=True)
    answers = ("--output-tokens", "500", "--ttft-ms", "300", "--delay-sigma", "1")
    with emulating(tmp_path, *answers) as emulator:
        done = fork_server.run(
            tmp_path, "run", "name=full", *emulator.provider, "dataset.limit=10", "sweep=none",
            "repeats=40", "limits.concurrency=48", "params.max_tokens=500", "params.logprobs=true",
            "params.top_logprobs=20",
            f"results_dir={small_disk}/results", quiet=True,
        )  # fmt: skip
        assert done.code == EXIT_STORAGE, done.err
        assert "could not be saved" not in done.err
        assert "to go on: evalharness run" in done.last_line
        sent = {request["client_request_id"] for request in emulator.ledger()}
        assert 48 <= len(sent) < 400
        root = small_disk / "results" / "full"
        assert sent <= recorded_requests(root), "an answer that arrived was not saved"
        assert verify_folder(root).is_sound


def test_a_disk_too_full_to_begin_is_said(
    fork_server: ForkServer, emulator: Emulator, small_disk: Path, tmp_path: Path
) -> None:
    """P6: without room for the reserve nothing is sent: exit 74, and what to do."""
    begin = len(emulator.ledger())
    for leave in (0, 8 * 2**20):
        filler = fill(small_disk, leave=leave)
        done = fork_server.run(
            tmp_path, "run", "name=none", *emulator.provider, "dataset.limit=2",
            f"results_dir={small_disk}/results",
        )  # fmt: skip
        filler.unlink()
        assert done.code == EXIT_STORAGE, done.err
        assert "Traceback" not in done.err
        assert "No space left on device" in done.err
    assert "reserve" in done.err
    assert "free some space" in done.err
    assert len(emulator.ledger()) == begin
