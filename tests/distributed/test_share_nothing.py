"""Ray on two machines that share nothing, an S3 server between them, whoever fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import evalharness as package
from evalharness import errors
from evalharness.store.parts.verify import verify_folder
from tests.distributed.machines import ADDRESSES, Machines, RemoteEmulator, machines, wait_until
from tests.distributed.test_ray_runs import (
    DEAR,
    DEAR_ANSWERS,
    PLANNED,
    as_one_process,
    on_ray,
)
from tests.durability.invariants import (
    final_state_is_sound,
    in_doubt,
    record_contents,
    requests_sent_twice_are_in_doubt,
)
from tests.durability.processes import FinishedCommand, ForkServer, emulating
from tests.store.remote.s3 import BUCKET, keys_in_environment, server_command


class Lab:
    """Two machines with a Ray, and a server with an S3 store."""

    def __init__(self, of: Machines) -> None:
        self.machines = of
        self._folder = of.base / "server" / "weed"
        self._folder.mkdir()
        # The path is that of the server: there, `own` is its folder.
        command, port = server_command(self._folder, ADDRESSES["server"])
        self._command = [part.replace(str(self._folder), f"{of.own}/weed") for part in command]
        self._query = f"endpoint_override=http://{ADDRESSES['server']}:{port}"
        self.start_store()
        self.address = of.start_ray()

    def start_store(self) -> None:
        """Start the store, and wait until it answers."""
        self.store = self.machines.start("server", *self._command)
        program = (
            "import time\n"
            "from pyarrow import fs\n"
            "until = time.monotonic() + 60\n"
            "while True:\n"
            "    try:\n"
            f"        store, bucket = fs.FileSystem.from_uri('s3://{BUCKET}?allow_bucket_creation=true&{self._query}')\n"
            "        store.create_dir(bucket)\n"
            "        break\n"
            "    except OSError:\n"
            "        if time.monotonic() > until: raise\n"
            "    time.sleep(0.1)\n"
        )
        assert self.machines.start("server", sys.executable, "-c", program).wait(120) == 0

    def url(self, name: str) -> str:
        """A results root."""
        return f"s3://{BUCKET}/{name}?{self._query}"

    def arguments(self, emulator: RemoteEmulator, name: str, *more: str) -> tuple[str, ...]:
        """A run on both machines, with journals on their own disks."""
        disk = f"execution.journal_dir={self.machines.own}/disk"
        return on_ray(self.address, emulator, disk, f"results_dir={self.url(name)}", *more)

    def begin(self, *arguments: str, machine: str = "driver") -> subprocess.Popen[str]:
        """Start the command."""
        return self.machines.start(machine, sys.executable, "-m", "evalharness", *arguments)

    def end(self, command: subprocess.Popen[str], machine: str = "driver") -> FinishedCommand:
        """Wait for its end."""
        out, _ = command.communicate(timeout=200)
        return FinishedCommand(command.returncode, out, self.log(machine))

    def log(self, machine: str = "driver") -> str:
        """What programs of a machine have said on standard error."""
        return (self.machines.base / machine / "log").read_text()

    def workers(self, machine: str) -> list[int]:
        """Process ids of the workers that have a journal on a machine's disk."""
        found = []
        for lock in (self.machines.base / machine).glob("disk/*/worker-*/run.lock"):
            text = lock.read_text().split()
            if len(text) > 1 and (lock.parent / "journal.sqlite").exists():
                found.append(int(text[1]))
        return found

    def wait_for_workers(self) -> None:
        """Wait until there are workers on both machines."""
        for machine in ("driver", "other"):
            wait_until(lambda: self.workers(machine), f"no worker on {machine}: {self.log()}")  # noqa: B023

    def read(self, name: str) -> Path:
        """The run as a machine reads it that had no part in it: its folder there."""
        url = self.url(name).replace("?", "/r?")
        done = self.end(self.begin("verify", url, machine="server"), "server")
        assert done.code == 0, done.out
        (root,) = (self.machines.base / "server").glob("copies/*/r")
        return root.rename(self.machines.base / f"read-{name}")


def is_whole(root: Path, expected: list[tuple[Any, ...]]) -> None:
    """The plan exactly once, as in one process; setting ids name the server's address."""
    final_state_is_sound(root, expected=record_contents(root), planned=PLANNED)
    rows = [(row[0], *row[2:]) for row in record_contents(root)]
    assert sorted(rows) == sorted((row[0], *row[2:]) for row in expected)


@contextmanager
def lab() -> Iterator[Lab]:
    with keys_in_environment(), machines() as of:
        yield Lab(of)


@pytest.fixture(scope="module")
def shared_lab() -> Iterator[Lab]:
    with lab() as one:
        yield one


@pytest.fixture(scope="module")
def expected(
    fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory
) -> list[tuple[Any, ...]]:
    """What the same plan gives in one process, in a folder."""
    folder = tmp_path_factory.mktemp("whole")
    with emulating(folder) as emulator:
        return as_one_process(fork_server, emulator, folder)


def test_workers_upload_their_parts_and_one_is_killed(shared_lab: Lab, expected: Any) -> None:
    """No path is shared: the store has each trial once, as one process would have made it."""
    emulator = shared_lab.machines.emulator("--ttft-ms", "60")
    command = shared_lab.begin(*shared_lab.arguments(emulator, "parts"))
    shared_lab.wait_for_workers()
    emulator.wait_until_received(60)
    os.kill(shared_lab.workers("other")[0], signal.SIGKILL)
    done = shared_lab.end(command)
    assert done.code == 0, done.err
    assert "is lost" in done.err
    assert not list((shared_lab.machines.base / "other").glob("copies/*"))  # no copy there
    root = shared_lab.read("parts")
    is_whole(root, expected)
    assert requests_sent_twice_are_in_doubt(emulator.ledger(), root) <= 9


@pytest.mark.long
def test_the_store_is_killed_and_the_same_command_goes_on(shared_lab: Lab, expected: Any) -> None:
    """Exit 74; what was answered stays on the workers' disks, and is not bought again."""
    emulator = shared_lab.machines.emulator("--ttft-ms", "60")
    arguments = shared_lab.arguments(emulator, "killed")
    command = shared_lab.begin(*arguments)
    shared_lab.wait_for_workers()
    emulator.wait_until_received(60)
    shared_lab.store.kill()
    done = shared_lab.end(command)
    assert done.code == errors.EXIT_STORAGE, done.err
    shared_lab.store.wait()
    shared_lab.start_store()
    again = shared_lab.end(shared_lab.begin(*arguments))
    assert again.code == 0, again.err
    root = shared_lab.read("killed")
    is_whole(root, expected)
    ledger = emulator.ledger()
    assert len(ledger) == len({row["client_request_id"] for row in ledger}) == PLANNED
    assert in_doubt(root) == set()


@pytest.mark.long
def test_a_store_that_does_not_answer_for_a_while_is_waited_for(
    shared_lab: Lab, expected: Any
) -> None:
    """Requests go on meanwhile: nothing that is sent waits for the store."""
    emulator = shared_lab.machines.emulator("--ttft-ms", "60")
    command = shared_lab.begin(*shared_lab.arguments(emulator, "slow"))
    shared_lab.wait_for_workers()
    emulator.wait_until_received(30)
    shared_lab.store.send_signal(signal.SIGSTOP)
    try:
        emulator.wait_until_received(PLANNED)
    finally:
        shared_lab.store.send_signal(signal.SIGCONT)
    done = shared_lab.end(command)
    assert done.code == 0, done.err
    is_whole(shared_lab.read("slow"), expected)
    assert len(emulator.ledger()) == PLANNED


@pytest.mark.long
def test_the_money_limit_holds_to_the_cent(shared_lab: Lab) -> None:
    """Exit 4: less than one more answer costs is left of the limit, and nothing is above it."""
    emulator = shared_lab.machines.emulator(*DEAR_ANSWERS)
    arguments = shared_lab.arguments(emulator, "dear", DEAR, "limits.max_cost_usd=1.0")
    done = shared_lab.end(shared_lab.begin(*arguments))
    assert done.code == errors.EXIT_BUDGET, done.err
    assert "limits.max_cost_usd=1.0 leaves no room" in done.err
    billed, answers = float(emulator.stats()["billed_usd"]), len(emulator.ledger())
    assert billed <= 1.0
    assert billed + 0.01 > 1.0, answers
    root = shared_lab.read("dear")
    assert verify_folder(root).is_sound
    assert len(package.load(root).records()) == answers


@pytest.mark.long
def test_no_minute_has_more_requests_than_the_limit(shared_lab: Lab) -> None:
    """By the server's own ledger: in any 60 seconds, of both machines together."""
    rpm = 180
    emulator = shared_lab.machines.emulator("--ttft-ms", "20")
    arguments = shared_lab.arguments(emulator, "paced", f"limits.rpm={rpm}")
    done = shared_lab.end(shared_lab.begin(*arguments))
    assert done.code == 0, done.err
    arrivals = sorted(row["received_at_ns"] for row in emulator.ledger())
    assert len(arrivals) == PLANNED
    minute = 60 * 10**9
    fullest = max(
        sum(start <= at < start + minute for at in arrivals[first:])
        for first, start in enumerate(arrivals)
    )
    assert fullest <= rpm


@pytest.mark.long
def test_a_machine_that_is_cut_off_is_given_up_and_shut_out(expected: Any) -> None:
    """It goes on sending, and reaches the store: what it had is in doubt, and none is doubled."""
    with lab() as one:
        emulator = one.machines.emulator("--ttft-ms", "60")
        arguments = one.arguments(emulator, "cut", "execution.shard_trials=8")
        command = one.begin(*arguments)
        one.wait_for_workers()
        emulator.wait_until_received(60)
        one.machines.separate()
        done = one.end(command)
        assert done.code == 0, done.err
        assert "is lost" in done.err
        one.machines.join()
        root = one.read("cut")
        is_whole(root, expected)
        doubts = requests_sent_twice_are_in_doubt(emulator.ledger(), root)
        assert 0 < len(emulator.ledger()) - PLANNED <= doubts
        assert "nothing to send" in one.end(one.begin(*arguments)).err
