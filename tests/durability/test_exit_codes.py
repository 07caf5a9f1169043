"""Every exit code of ``evalharness run``, and the command its last line tells to type, typed."""

from __future__ import annotations

import shlex
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path

import pytest

import evalharness
from evalharness import errors
from evalharness.store.journal.journal_format import INTENT
from evalharness.store.parts.verify import verify_folder
from tests.durability.invariants import (
    in_doubt,
    recorded_requests,
    requests_sent_twice_are_in_doubt,
)
from tests.durability.processes import Emulator, FinishedCommand, ForkServer

Emulate = Callable[..., AbstractContextManager[Emulator]]
PLAN = (
    "dataset.limit=4", "sweep.temperature=null", "sweep.seed=null", "repeats=5",
    "params.max_tokens=8", "limits.concurrency=4",
)  # fmt: skip
PLANNED = 20
# For the emulator's model, so that there is a price.
PRICE = "{prompt: 1, completion: 1000}"
DEAR = f"+pricing.prices=[{{model: qwen-plus, price_usd_per_mtok: {PRICE}}}]"


def same_address(emulator: Emulator) -> tuple[str, str]:
    """Options of another emulator in the place of this one: who answers is part of a setting."""
    return "--port", emulator.base_url.rpartition(":")[2].removesuffix("/v1")


def resume_command(done: FinishedCommand) -> list[str]:
    """The arguments of the command in the last line."""
    _, _, command = done.last_line.partition("to go on: ")
    words = shlex.split(command)
    assert words[:2] == ["evalharness", "run"], done.err
    return words[1:]


def resumes(fork_server: ForkServer, cwd: Path, done: FinishedCommand, *more: str) -> None:
    """Type what the last line says; the run ends with its plan exactly once, and sound."""
    again = fork_server.run(cwd, *resume_command(done), *more, quiet=True)
    assert again.code == 0, again.err
    root = cwd / "results" / "r"
    records = evalharness.load(root).table("records", ["trial_id"])["trial_id"].to_pylist()
    assert len(records) == len(set(records)) == PLANNED
    assert verify_folder(root).is_sound


def test_0_and_then_nothing_to_send(
    fork_server: ForkServer, emulator: Emulator, tmp_path: Path
) -> None:
    """All recorded: 0; the same again sends nothing: 0."""
    arguments = ("run", "name=r", *emulator.provider, *PLAN)
    assert fork_server.run(tmp_path, *arguments).code == errors.EXIT_OK
    served = emulator.served()
    again = fork_server.run(tmp_path, *arguments)
    assert again.code == errors.EXIT_OK
    assert "nothing to send" in again.err
    assert emulator.served() == served


def test_1_when_trials_failed(fork_server: ForkServer, emulate: Emulate, tmp_path: Path) -> None:
    """Some trials end as errors: 1. They are sent again on request only, and then succeed."""
    with emulate("--error-rate", "0.3", "--error-status", "400") as failing:
        arguments = ("run", "name=r", *failing.provider, *PLAN)
        done = fork_server.run(tmp_path, *arguments)
        assert done.code == errors.EXIT_FAILED, done.err
        ledger = failing.ledger()
        failed = failing.stats()["statuses"]["400"]
        assert f"{failed} trials failed" in done.err
        assert fork_server.run(tmp_path, *arguments, quiet=True).code == errors.EXIT_OK
        assert len(failing.ledger()) == len(ledger) == PLANNED
    with emulate(*same_address(failing)) as emulator:
        again = fork_server.run(tmp_path, *arguments, "--retry-errors", quiet=True)
        assert again.code == errors.EXIT_OK, again.err
        assert f"{failed} trials recorded as errors, asked again" in again.err
        assert "--retry-errors" not in again.last_line
        ledger += emulator.ledger()
    assert len(ledger) == PLANNED + failed
    ids = [request["client_request_id"] for request in ledger]
    assert len(set(ids)) == len(ids), "an attempt's id went out twice"
    run = evalharness.load(tmp_path / "results" / "r")
    assert set(run.records()["status"]) <= {"ok", "truncated"}
    assert len(run.attempts()) == PLANNED + failed
    report = verify_folder(tmp_path / "results" / "r")
    assert report.is_sound, report.findings
    assert report.records == PLANNED


def test_2_for_a_bad_configuration(
    fork_server: ForkServer, emulator: Emulator, tmp_path: Path
) -> None:
    """P18: nothing sent, no folder made."""
    requests = emulator.stats()["requests"]
    done = fork_server.run(tmp_path, "run", "name=r", *emulator.provider, *PLAN, "repeats=0")
    assert done.code == errors.EXIT_CONFIG
    assert "`repeats`" in done.err
    assert not (tmp_path / "results").exists()
    assert emulator.stats()["requests"] == requests


def test_3_when_the_account_is_refused(
    fork_server: ForkServer, emulate: Emulate, tmp_path: Path
) -> None:
    """Out of credit: nothing new starts; topped up, the printed command goes on."""
    with emulate("--error-rate", "0.2", "--error-status", "402", "--ttft-ms", "20") as emulator:
        done = fork_server.run(tmp_path, "run", "name=r", *emulator.provider, *PLAN)
        assert done.code == errors.EXIT_ACCOUNT, done.err
        assert len(emulator.ledger()) < PLANNED
    with emulate(*same_address(emulator)):
        resumes(fork_server, tmp_path, done)


def test_4_when_the_budget_is_reached(
    fork_server: ForkServer, emulate: Emulate, tmp_path: Path
) -> None:
    """limits.max_cost_usd stops before it is exceeded; raised, the same command goes on."""
    with emulate("--price-completion", "1000") as emulator:
        done = fork_server.run(
            tmp_path, "run", "name=r", *emulator.provider, *PLAN, DEAR, "limits.max_cost_usd=0.05"
        )
        assert done.code == errors.EXIT_BUDGET, done.err
        assert 0 < len(emulator.ledger()) < PLANNED
        assert 0 < float(emulator.stats()["billed_usd"]) <= 0.05
        assert "limits.max_cost_usd=0.05" not in done.last_line
        assert done.last_line.endswith("limits.max_cost_usd=NEW")
        assert "raise limits.max_cost_usd: the next request needs at least $0.0" in done.err
        resumes(fork_server, tmp_path, done, "limits.max_cost_usd=10")
        assert len(emulator.ledger()) == PLANNED


def test_74_when_the_folder_cannot_be_written(
    fork_server: ForkServer, emulator: Emulator, tmp_path: Path
) -> None:
    """A file where the results should go: 74, and what is wrong."""
    (tmp_path / "blocked").write_text("")
    done = fork_server.run(
        tmp_path, "run", "name=r", *emulator.provider, *PLAN, "results_dir=blocked"
    )
    assert done.code == errors.EXIT_STORAGE
    assert "blocked" in done.err
    assert "Traceback" not in done.err


def test_74_for_a_damaged_part_and_the_way_on_it_names(
    fork_server: ForkServer, emulator: Emulator, tmp_path: Path
) -> None:
    """P5: run, report and verify name the file and what to type; typed, the run is whole again."""
    arguments = ("run", "name=r", *emulator.provider, *PLAN)
    assert fork_server.run(tmp_path, *arguments, seal_trials=8, quiet=True).code == 0
    part = tmp_path / "results" / "r" / "records" / "part-000001.parquet"
    raw = bytearray(part.read_bytes())
    raw[-200] ^= 1
    part.write_bytes(bytes(raw))
    verified = fork_server.run(tmp_path, "verify", "r")
    assert verified.code == errors.EXIT_FAILED
    assert "records/part-000001.parquet: cannot be read" in verified.out
    for command in (("report", "r"), arguments, ("show", "r", "capital-france")):
        refused = fork_server.run(tmp_path, *command)
        assert refused.code == errors.EXIT_STORAGE, refused.err
        assert "part-000001.parquet is damaged" in refused.err
        assert "Traceback" not in refused.err
    typed = refused.err.partition("else ")[2].partition(",")[0]
    subprocess.run(typed, shell=True, check=True, cwd=tmp_path)
    resumed = fork_server.run(tmp_path, *arguments, quiet=True)
    assert resumed.code == 0, resumed.err
    report = verify_folder(tmp_path / "results" / "r")
    assert report.is_sound, report.findings
    assert report.records == PLANNED


def test_75_while_another_process_writes(
    fork_server: ForkServer, emulate: Emulate, tmp_path: Path
) -> None:
    """The folder is in use: 75 (what it leaves alone: test_one_writer)."""
    with emulate("--ttft-ms", "60000") as emulator:
        arguments = ("run", "name=r", *emulator.provider, *PLAN)
        first = fork_server.start(tmp_path, *arguments)
        emulator.wait_until_received(4)
        assert fork_server.run(tmp_path, *arguments).code == errors.EXIT_IN_USE
        first.signal(signal.SIGKILL)
        first.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_130_drains_what_is_in_flight(
    fork_server: ForkServer, emulate: Emulate, tmp_path: Path, number: signal.Signals
) -> None:
    """One signal: every answer in flight is waited for, nothing is in doubt; then it resumes."""
    with emulate("--ttft-ms", "150") as emulator:
        running = fork_server.start(tmp_path, "run", "name=r", *emulator.provider, *PLAN)
        emulator.wait_until_received(6)
        running.signal(number)
        done = running.wait()
        root = tmp_path / "results" / "r"
        assert done.code == errors.EXIT_INTERRUPTED, done.err
        assert f"{number.name}: finishing what is in flight" in done.err
        assert {r["client_request_id"] for r in emulator.ledger()} <= recorded_requests(root)
        assert in_doubt(root) == set()
        assert evalharness.load(root).manifest.status == "interrupted"
        assert verify_folder(root).unsealed == 0
        resumes(fork_server, tmp_path, done)
        assert len(emulator.ledger()) == PLANNED, "something was bought twice"


def test_130_what_was_only_intended_is_not_sent(
    fork_server: ForkServer, emulate: Emulate, tmp_path: Path
) -> None:
    """A signal while the journal is being written: what it holds up by then does not go out."""
    with emulate("--ttft-ms", "20") as emulator:
        running = fork_server.start(tmp_path, "run", "name=r", *emulator.provider, *PLAN)
        emulator.wait_until_served(2, by=running)
        journal = tmp_path / "results" / "r" / "journal" / "journal.sqlite"
        with closing(sqlite3.connect(journal, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")  # from here on no intent gets through
            query = f"SELECT count(*) FROM entry WHERE kind = {INTENT}"
            intended = other.execute(query).fetchone()[0]
            emulator.wait_until_served(intended)
            running.signal(signal.SIGTERM)
            while "finishing what is in flight" not in running.errors():
                assert running.poll() is None
            other.execute("ROLLBACK")
        done = running.wait()
        assert done.code == errors.EXIT_INTERRUPTED, done.err
        assert len(emulator.ledger()) == intended < PLANNED
        assert in_doubt(tmp_path / "results" / "r") == set()
        resumes(fork_server, tmp_path, done)
        assert len(emulator.ledger()) == PLANNED


def test_130_a_drain_ends_after_drain_s(
    fork_server: ForkServer, emulate: Emulate, tmp_path: Path
) -> None:
    """What is not answered within limits.drain_s is listed in doubt; the wait is bounded."""
    with emulate("--ttft-ms", "60000") as slow:
        running = fork_server.start(
            tmp_path, "run", "name=r", *slow.provider, *PLAN, "limits.drain_s=0.2"
        )
        slow.wait_until_received(4)
        running.signal(signal.SIGTERM)
        done = running.wait()
        assert done.code == errors.EXIT_INTERRUPTED, done.err
        assert "4 attempts of this run in doubt (4 new)" in done.err
        sent = {request["client_request_id"] for request in slow.ledger()}
        assert in_doubt(tmp_path / "results" / "r") == sent
    with emulate(*same_address(slow)):
        resumes(fork_server, tmp_path, done)


def test_130_a_second_signal_stops_at_once(
    fork_server: ForkServer, emulate: Emulate, tmp_path: Path
) -> None:
    """It does not wait for drain_s, keeps what was done, and lists what it left behind."""
    with emulate("--ttft-ms", "60000") as slow:
        running = fork_server.start(
            tmp_path, "run", "name=r", *slow.provider, *PLAN, "limits.drain_s=3600"
        )
        slow.wait_until_received(4)
        running.signal(signal.SIGINT)
        while "finishing what is in flight" not in running.errors():
            assert running.poll() is None
        running.signal(signal.SIGINT)
        done = running.wait()
        assert done.code == errors.EXIT_INTERRUPTED, done.err
        root = tmp_path / "results" / "r"
        ledger = slow.ledger()
        assert in_doubt(root) == {request["client_request_id"] for request in ledger}
    with emulate(*same_address(slow)) as emulator:
        resumes(fork_server, tmp_path, done)
        assert requests_sent_twice_are_in_doubt([*ledger, *emulator.ledger()], root) == 4
