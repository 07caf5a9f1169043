"""The real command on real Ray against real emulators: one run, whoever dies."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import evalharness as package
from evalharness import errors
from evalharness.store.parts.verify import verify_folder
from tests.durability.invariants import (
    every_visible_parquet_opens,
    final_state_is_sound,
    in_doubt,
    record_contents,
    requests_sent_twice_are_in_doubt,
)
from tests.durability.processes import (
    PATIENCE_S,
    Command,
    Emulator,
    FinishedCommand,
    ForkServer,
    emulating,
)
from tests.store.remote.s3 import keys

PLAN = (
    "dataset.limit=6", "sweep.seed=[1,2]", "sweep.temperature=[0,1]", "repeats=10", "scoring=none",
    "params.max_tokens=8", "limits.concurrency=9", "limits.in_doubt_retries=3",
)  # fmt: skip
PLANNED = 6 * 2 * 2 * 10
# A model of which a few answers make a dollar.
DEAR = "pricing.prices=[{model: qwen-plus, price_usd_per_mtok: {prompt: 0.4, completion: 1000}}]"
DEAR_ANSWERS = ("--price-completion", "1000", "--output-tokens", "8", "--ttft-ms", "60")


def on_ray(cluster: str, emulator: Emulator, *more: str, name: str = "r") -> tuple[str, ...]:
    return (
        "run", f"name={name}", *emulator.provider, *PLAN, "execution=ray", "execution.workers=3",
        f"execution.address={cluster}", *more,
    )  # fmt: skip


def run(
    fork_server: ForkServer, folder: Path, *arguments: str, **environment: str
) -> FinishedCommand:
    return begin(fork_server, folder, *arguments, **environment).wait()


def begin(fork_server: ForkServer, folder: Path, *arguments: str, **environment: str) -> Command:
    tokens = {name: value for name, value in os.environ.items() if name.startswith("RAY_AUTH_")}
    return fork_server.start(folder, *arguments, quiet=True, **tokens, **environment)


def workers(root: Path) -> list[int]:
    """Process ids of the workers that hold a journal of a run now."""
    found = []
    for lock in sorted(root.glob("*/worker-*/run.lock")):
        named = re.match(r"process (\d+) on", lock.read_text())
        if named is not None and (lock.parent / "journal.sqlite").exists():
            found.append(int(named[1]))
    return found


def wait_for_workers(root: Path, count: int) -> list[int]:
    deadline = time.monotonic() + PATIENCE_S
    while len(pids := workers(root)) < count:
        assert time.monotonic() < deadline, "the workers did not start"
        time.sleep(0.01)
    return pids


def ends(pids: list[int]) -> None:
    """Wait until processes are gone."""
    deadline = time.monotonic() + PATIENCE_S
    while any(_alive(pid) for pid in pids):
        assert time.monotonic() < deadline, "a process stays"
        time.sleep(0.05)


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def as_one_process(
    fork_server: ForkServer, emulator: Emulator, folder: Path
) -> list[tuple[Any, ...]]:
    """What the same plan gives in one process, uninterrupted."""
    arguments = ("run", "name=whole", *emulator.provider, *PLAN)
    assert fork_server.run(folder, *arguments, quiet=True).code == 0
    return record_contents(folder / "results" / "whole")


class Slow(Emulator):
    """An emulator that answers after 60 ms, and what a test has sent to it."""

    def __init__(self, of: Emulator) -> None:
        self.__dict__ = dict(of.__dict__)
        self.begin()

    def begin(self) -> None:
        self._before = self._received = len(super().ledger())

    def ledger(self) -> list[dict[str, Any]]:
        return super().ledger()[self._before :]

    def wait_for_more(self, count: int) -> None:
        """Wait until it has received that many more requests of the test."""
        self._received += count
        self.wait_until_received(self._received)


@pytest.fixture(scope="module")
def the_slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slow]:
    with emulating(tmp_path_factory.mktemp("slow"), "--ttft-ms", "60") as one:
        yield Slow(one)


@pytest.fixture(scope="module")
def expected(
    fork_server: ForkServer, the_slow: Slow, tmp_path_factory: pytest.TempPathFactory
) -> list[tuple[Any, ...]]:
    return as_one_process(fork_server, the_slow, tmp_path_factory.mktemp("whole"))


@pytest.fixture
def slow(the_slow: Slow, expected: Any) -> Slow:
    the_slow.begin()
    return the_slow


def test_several_workers_make_one_run(
    fork_server: ForkServer, slow: Slow, cluster: str, tmp_path: Path, expected: Any
) -> None:
    """P3 on workers: rows as in one process; report, verify, resume and extension see no other."""
    done = run(fork_server, tmp_path, *on_ray(cluster, slow))
    assert done.code == 0, done.err
    root = tmp_path / "results" / "r"
    final_state_is_sound(root, expected=expected, planned=PLANNED)
    ledger = slow.ledger()
    assert len(ledger) == len({row["client_request_id"] for row in ledger}) == PLANNED
    assert len(list((root / "records").glob("part-*.parquet"))) >= 2  # more than one has worked
    assert not list((root / "journal").glob("worker-*"))
    assert "nothing to send" in run(fork_server, tmp_path, *on_ray(cluster, slow)).err
    more = fork_server.run(
        tmp_path, "run", "name=r", *slow.provider, *PLAN, "repeats=11", quiet=True
    )
    assert more.code == 0, more.err
    assert len(slow.ledger()) == PLANNED + 24
    assert verify_folder(root).is_sound
    session = package.load(root).manifest.sessions[0]
    assert (session["workers"], session["sent"], session["recorded"]) == (3, PLANNED, PLANNED)


def test_workers_speak_the_protocol_of_the_provider(
    fork_server: ForkServer, emulator: Emulator, cluster: str, tmp_path: Path
) -> None:
    """Requests and answers are those of the Messages API in every worker."""
    more = ("provider.protocol=messages", "sweep.seed=null", "repeats=2", "execution.workers=2")
    done = run(fork_server, tmp_path, *on_ray(cluster, emulator, *more))
    assert done.code == 0, done.err
    records = package.load(str(tmp_path / "results" / "r")).records()
    assert len(records) == 6 * 2 * 2
    assert set(records["finish_reason"]) <= {"max_tokens", "end_turn"}
    assert all('"type":"message"' in answer for answer in records["response_json"])


def test_killed_workers_are_replaced_and_nothing_is_lost(
    fork_server: ForkServer, slow: Slow, cluster: str, tmp_path: Path, expected: Any
) -> None:
    """P1-P3 on workers: kill -9 of two, one after the other; the run ends with its plan."""
    command = begin(fork_server, tmp_path, *on_ray(cluster, slow))
    root = tmp_path / "results" / "r"
    slow.wait_for_more(40)
    first = wait_for_workers(root, 3)[0]
    os.kill(first, signal.SIGKILL)
    slow.wait_for_more(40)
    os.kill(next(pid for pid in workers(root) if pid != first), signal.SIGKILL)
    every_visible_parquet_opens(root)
    done = command.wait()
    assert done.code == 0, done.err
    assert done.err.count("is lost") == 2
    final_state_is_sound(root, expected=expected, planned=PLANNED)
    doubts = requests_sent_twice_are_in_doubt(slow.ledger(), root)
    assert doubts <= 2 * 9
    noun = "attempt" if doubts == 1 else "attempts"
    assert f"{doubts} {noun} of this run in doubt ({doubts} new)" in done.err or not doubts


def test_a_run_on_ray_takes_no_changes_and_says_so(
    fork_server: ForkServer, slow: Slow, cluster: str, tmp_path: Path
) -> None:
    """A pause and a limit are refused at once and not recorded; the status says what can be done."""
    command = begin(fork_server, tmp_path, *on_ray(cluster, slow, "repeats=400"))
    slow.wait_for_more(40)
    for words in (["pause"], ["set", "limits.rpm=60"]):
        refused = fork_server.run(tmp_path, "control", "r", *words)
        assert refused.code == 2, refused.out
        assert "a run on Ray takes no changes while it goes on" in refused.err
        assert "the same command goes on" in refused.err
    told = fork_server.run(tmp_path, "control", "r", "status")
    assert told.code == 0, told.err
    assert re.search(rf"^  [1-9]\d* of {PLANNED * 40:,} trials recorded$", told.out, re.MULTILINE)
    assert "it cannot be paused or given other limits: a run on Ray takes no changes" in told.out
    command.signal(signal.SIGTERM)
    assert command.wait().code == errors.EXIT_INTERRUPTED
    assert json.loads((tmp_path / "results" / "r" / "run.json").read_bytes())["control"] == []


@pytest.mark.long
def test_a_lost_coordinator_is_replaced(
    fork_server: ForkServer, slow: Slow, cluster: str, tmp_path: Path, expected: Any
) -> None:
    """Workers drain, another coordinator starts from the folder, nothing is asked twice."""
    command = begin(fork_server, tmp_path, *on_ray(cluster, slow))
    slow.wait_for_more(60)
    os.kill(coordinator(), signal.SIGKILL)
    done = command.wait()
    assert done.code == 0, done.err
    assert "the coordinator was lost" in done.err
    root = tmp_path / "results" / "r"
    final_state_is_sound(root, expected=expected, planned=PLANNED)
    assert requests_sent_twice_are_in_doubt(slow.ledger(), root) == 0


def test_workers_write_to_a_store(
    fork_server: ForkServer, slow: Slow, cluster: str, s3: str, tmp_path: Path, expected: Any
) -> None:
    """A run on a URL and on workers, one of them killed: the store has it all, whole."""
    url = s3.format("ray")
    copies = {"EVALHARNESS_STAGING": str(tmp_path / "copies"), **keys()}
    arguments = on_ray(cluster, slow, f"results_dir={url}")
    command = begin(fork_server, tmp_path, *arguments, **copies)
    slow.wait_for_more(40)
    (root,) = tmp_path.glob("copies/*/r")
    os.kill(wait_for_workers(root, 3)[0], signal.SIGKILL)
    done = command.wait()
    assert done.code == 0, done.err
    elsewhere = {**copies, "EVALHARNESS_STAGING": str(tmp_path / "elsewhere")}
    read = run(fork_server, tmp_path, "verify", url.replace("?", "/r?"), **elsewhere)
    assert read.code == 0, read.out
    (other,) = tmp_path.glob("elsewhere/*/r")
    final_state_is_sound(other, expected=expected, planned=PLANNED)
    requests_sent_twice_are_in_doubt(slow.ledger(), other)


def coordinator() -> int:
    """Process id of the coordinator on this test's Ray."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if name.startswith(b"ray::Coordinator") and _descends(int(folder.name)):
            return int(folder.name)
    raise AssertionError("no coordinator")


def _descends(pid: int) -> bool:
    while pid > 1:
        if pid == os.getpid():
            return True
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return False


def own_disk(tmp_path: Path) -> str:
    return f"execution.journal_dir={tmp_path}/disk"


def test_journals_on_workers_own_disks_are_fetched(
    fork_server: ForkServer, slow: Slow, cluster: str, tmp_path: Path, expected: Any
) -> None:
    """A worker killed on a node that lives: its answers count, as with a journal in the folder."""
    command = begin(fork_server, tmp_path, *on_ray(cluster, slow, own_disk(tmp_path)))
    root = tmp_path / "results" / "r"
    slow.wait_for_more(60)
    os.kill(wait_for_workers(tmp_path / "disk", 3)[0], signal.SIGKILL)
    done = command.wait()
    assert done.code == 0, done.err
    final_state_is_sound(root, expected=expected, planned=PLANNED)
    assert requests_sent_twice_are_in_doubt(slow.ledger(), root) <= 9
    assert not [*tmp_path.glob("disk/*/*")]
    assert not [*root.glob("journal/worker-*"), *root.glob("journal/leases.jsonl")]


@pytest.mark.long
def test_what_a_lost_node_had_is_in_doubt_and_asked_again(
    fork_server: ForkServer, slow: Slow, two_nodes: Any, tmp_path: Path, expected: Any
) -> None:
    """Its journals are gone with it: all that may have been sent is listed, the run goes on."""
    address, lose = two_nodes
    command = begin(
        fork_server,
        tmp_path,
        *on_ray(address, slow, own_disk(tmp_path), "execution.shard_trials=8"),
    )
    root = tmp_path / "results" / "r"
    slow.wait_for_more(90)
    wait_for_workers(tmp_path / "disk", 3)
    lose()
    done = command.wait()
    assert done.code == 0, done.err
    assert "is lost" in done.err
    final_state_is_sound(root, expected=expected, planned=PLANNED)
    doubts = requests_sent_twice_are_in_doubt(slow.ledger(), root)
    # Whatever was served twice is in the list; beyond that at most the shards the workers had open.
    served_twice = len(slow.ledger()) - PLANNED
    assert 0 < served_twice <= doubts == len(in_doubt(root))
    assert f"{doubts} attempts of this run in doubt ({doubts} new)" in done.err


@pytest.mark.parametrize(
    "session",
    [
        ["run"],
        ["run", "execution=ray"],
        ["run", "load=closed"],
        ["plan", "--pilot", "1", "--yes"],
    ],
)
def test_a_session_that_would_not_fetch_journals_from_other_disks_is_refused(
    fork_server: ForkServer, emulator: Emulator, tmp_path: Path, session: list[str]
) -> None:
    """What they hold is paid for: nothing is sent, nothing is changed, also when all is recorded."""
    if "execution=ray" in session:
        pytest.importorskip("ray", reason="the extra `ray` is not installed")
    plan = ("name=r", *emulator.provider, *PLAN, "dataset.limit=1", "repeats=1")
    assert fork_server.run(tmp_path, "run", *plan, quiet=True).code == 0
    root = tmp_path / "results" / "r"
    (root / "journal" / "leases.jsonl").write_text('{"worker":"worker-0001"}\n')
    before, sent = (root / "run.json").read_bytes(), len(emulator.ledger())
    done = fork_server.run(tmp_path, *session, *plan, quiet=True)
    assert done.code == errors.EXIT_STORAGE, done.err
    assert "execution.journal_dir" in done.err
    assert len(emulator.ledger()) == sent
    assert (root / "run.json").read_bytes() == before


@pytest.mark.long
def test_a_killed_driver_leaves_journals_on_other_disks_to_the_next_on_ray(
    fork_server: ForkServer, slow: Slow, cluster: str, tmp_path: Path, expected: Any
) -> None:
    """The next session fetches them; one without Ray, or of another plan, is refused."""
    arguments = on_ray(cluster, slow, own_disk(tmp_path))
    command = begin(fork_server, tmp_path, *arguments)
    slow.wait_for_more(60)
    pids = wait_for_workers(tmp_path / "disk", 3)
    command.signal(signal.SIGKILL)
    command.wait()
    ends(pids)
    alone = fork_server.run(tmp_path, "run", "name=r", *slow.provider, *PLAN, quiet=True)
    assert alone.code == errors.EXIT_STORAGE, alone.err
    assert "execution=ray" in alone.err
    shared = run(fork_server, tmp_path, *on_ray(cluster, slow))
    assert shared.code == errors.EXIT_STORAGE, shared.err
    other = run(fork_server, tmp_path, *arguments, "repeats=11")
    assert other.code == errors.EXIT_STORAGE, other.err
    assert "another plan" in other.err
    journal = next(tmp_path.glob("disk/*/worker-*/journal.sqlite"))
    journal.rename(journal.with_suffix(".aside"))
    journal.mkdir()  # what cannot be read on a node that lives is not lost
    unreadable = run(fork_server, tmp_path, *arguments)
    assert unreadable.code == errors.EXIT_STORAGE, unreadable.err
    assert "is alive" in unreadable.err
    journal.rmdir()
    journal.with_suffix(".aside").rename(journal)
    done = run(fork_server, tmp_path, *arguments)
    assert done.code == 0, done.err
    root = tmp_path / "results" / "r"
    final_state_is_sound(root, expected=expected, planned=PLANNED)
    assert requests_sent_twice_are_in_doubt(slow.ledger(), root) <= 9


@pytest.mark.long
def test_a_killed_driver_leaves_a_run_that_goes_on_in_one_process(
    fork_server: ForkServer, slow: Slow, cluster: str, tmp_path: Path, expected: Any
) -> None:
    """Workers end with their driver; the same command without Ray takes their journals over."""
    command = begin(fork_server, tmp_path, *on_ray(cluster, slow))
    slow.wait_for_more(60)
    root = tmp_path / "results" / "r"
    pids = wait_for_workers(root, 3)
    command.signal(signal.SIGKILL)
    assert command.wait().code == -signal.SIGKILL
    ends(pids)
    state = verify_folder(root)
    assert state.is_sound, state.findings
    recorded = state.records + state.unsealed
    assert recorded > 0
    assert len(package.load(root).records()) == recorded
    resumed = fork_server.run(tmp_path, "run", "name=r", *slow.provider, *PLAN, quiet=True)
    assert resumed.code == 0, resumed.err
    assert f"{recorded} were recorded before" in resumed.err
    final_state_is_sound(root, expected=expected, planned=PLANNED)
    assert requests_sent_twice_are_in_doubt(slow.ledger(), root) <= 9


@pytest.mark.long
def test_limits_are_those_of_all_workers_together(
    fork_server: ForkServer, emulate: Any, cluster: str, tmp_path: Path
) -> None:
    """P8 on workers: the emulator's own limiter refuses nothing, and one minute is used."""
    limiter = ["--limit-window-s", "3", "--limit-retry-after", "float", "--rpm", "92"]
    with emulate(*limiter) as emulator:
        arguments = on_ray(cluster, emulator, "limits.rpm=1200", "limits.concurrency=60")
        done = run(fork_server, tmp_path, *arguments)
        assert done.code == 0, done.err
        assert Counter(row["status"] for row in emulator.ledger()) == {200: PLANNED}
        assert emulator.stats()["max_in_flight"] <= 60


@pytest.mark.long
def test_one_refused_account_stops_all(
    fork_server: ForkServer, emulate: Any, cluster: str, tmp_path: Path
) -> None:
    """P11 on workers: a 402 seen by one, exit 3, and the rest of the plan is not sent."""
    with emulate("--error-rate", "0.1", "--error-status", "402", "--ttft-ms", "60") as emulator:
        done = run(fork_server, tmp_path, *on_ray(cluster, emulator))
        assert done.code == errors.EXIT_ACCOUNT, done.err
        ledger = emulator.ledger()
        first = min(row["received_at_ns"] for row in ledger if row["status"] == 402)
        assert len(ledger) < PLANNED
        # What was in flight, and what went while the word spread: a turn of the slots at most.
        assert sum(row["received_at_ns"] > first + 5 * 10**8 for row in ledger) == 0
        assert verify_folder(tmp_path / "results" / "r").is_sound


@pytest.mark.long
def test_the_money_limit_is_one_for_all(
    fork_server: ForkServer, emulate: Any, cluster: str, tmp_path: Path
) -> None:
    """P12 on workers: exit 4, never above the limit, and more than 90 % of it used."""
    with emulate(*DEAR_ANSWERS) as emulator:
        arguments = on_ray(cluster, emulator, DEAR, "limits.max_cost_usd=1.0")
        command = begin(fork_server, tmp_path, *arguments)
        emulator.wait_until_received(30)  # of some 125
        root = tmp_path / "results" / "r"
        os.kill(wait_for_workers(root, 3)[0], signal.SIGKILL)  # its allowance comes back
        done = command.wait()
        assert done.code == errors.EXIT_BUDGET, done.err
        assert 0.9 < float(emulator.stats()["billed_usd"]) <= 1.0
        assert run(fork_server, tmp_path, *arguments, "limits.max_cost_usd=10").code == 0
        requests_sent_twice_are_in_doubt(emulator.ledger(), root)


@pytest.mark.long
def test_an_interrupt_drains_everywhere(
    fork_server: ForkServer, slow: Slow, cluster: str, tmp_path: Path, expected: Any
) -> None:
    """Ctrl-C: exit 130, nothing in doubt, and the command on the last line goes on."""
    command = begin(fork_server, tmp_path, *on_ray(cluster, slow))
    slow.wait_for_more(60)
    command.signal(signal.SIGINT)
    done = command.wait()
    assert done.code == errors.EXIT_INTERRUPTED, done.err
    root = tmp_path / "results" / "r"
    assert in_doubt(root) == set()
    assert len(slow.ledger()) == len(package.load(root).records()) < PLANNED
    assert "to go on: evalharness run name=r" in done.last_line
    assert run(fork_server, tmp_path, *on_ray(cluster, slow)).code == 0
    final_state_is_sound(root, expected=expected, planned=PLANNED)
    assert len(slow.ledger()) == PLANNED


@pytest.mark.long
def test_a_ray_of_its_own_goes_with_its_driver(
    fork_server: ForkServer, emulator: Emulator, tmp_path: Path
) -> None:
    """address=null: kill -9 of the driver ends workers, coordinator and Ray.

    Only two agents of Ray's look for their raylet once a minute; they touch nothing of ours.
    """
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    arguments = (
        "run", "name=own", *emulator.provider, *PLAN, "repeats=400", "execution=ray",
    )  # fmt: skip
    command = fork_server.start(tmp_path, *arguments, quiet=True)
    pids = wait_for_workers(tmp_path / "results" / "own", 2)
    family = descendants(command.pid)
    assert set(pids) < set(family)
    servers = [pid for pid in family if _program(pid) in ("gcs_server", "raylet")]
    assert len(servers) == 2
    for pid in servers:  # neither of them takes whoever connects
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        assert b"RAY_AUTH_MODE=token" in environment
        assert any(re.fullmatch(rb"RAY_AUTH_TOKEN=\w{64}", one) for one in environment)
    agents = {pid for pid in family if b"Agent" in Path(f"/proc/{pid}/cmdline").read_bytes()}
    command.signal(signal.SIGKILL)
    command.wait()
    ends([pid for pid in family if pid not in agents])


def _program(pid: int) -> str:
    return Path(f"/proc/{pid}/exe").readlink().name


def descendants(pid: int) -> list[int]:
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text()
        except OSError:
            continue
        parents[int(folder.name)] = int(stat.rpartition(")")[2].split()[1])
    found = [pid]
    for parent in found:
        found += [child for child, above in parents.items() if above == parent]
    return found[1:]


def test_a_cluster_cannot_reach_what_answers_on_this_machine_alone(
    fork_server: ForkServer, tmp_path: Path
) -> None:
    """P18: the emulator as a child process and an address: exit 2 before anything starts."""
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    done = fork_server.run(
        tmp_path, "run", "provider=emulator", "execution=ray", "execution.address=auto"
    )
    assert done.code == errors.EXIT_CONFIG
    assert "execution.address=null" in done.err


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["execution.workers=9", "limits.concurrency=4"], "execution.workers=4"),
        (["execution.journal_dir=disk"], "/disk, or another absolute path"),
        (["execution.journal_dir='~/disk'"], "another absolute path"),
        (["execution.engine=dask"], "execution.engine"),
        (["execution.worker=2"], "execution.workers"),
        (["load=closed", "execution.journal_dir=/disk"], "execution.journal_dir=null"),
        (["results_dir=ftp://host/results"], "s3://"),
    ],
)
def test_what_cannot_be_run_so_is_refused_before_anything_starts(
    fork_server: ForkServer, emulator: Emulator, tmp_path: Path, overrides: list[str], words: str
) -> None:
    """P18: exit 2, and what to type instead."""
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    base = ("run", "name=no", *emulator.provider, *PLAN, "execution=ray")
    done = fork_server.run(tmp_path, *base, *overrides)
    assert done.code == errors.EXIT_CONFIG
    assert words in done.err
    assert json.dumps(done.err).count("Traceback") == 0


def test_what_only_workers_have_is_not_left_unheeded_in_one_process(
    fork_server: ForkServer, emulator: Emulator, tmp_path: Path
) -> None:
    done = fork_server.run(
        tmp_path, "run", "name=no", *emulator.provider, *PLAN, f"execution.journal_dir={tmp_path}"
    )
    assert done.code == errors.EXIT_CONFIG
    assert f"execution=ray execution.journal_dir={tmp_path}" in done.err
