"""What ends a run for everybody, through the real command: account, one mistake repeated, outage."""

from __future__ import annotations

import json
import signal
import socket
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

import evalharness as package
from evalharness.cli import main
from evalharness.config.models import LimitsConfig, Profile
from evalharness.errors import EXIT_CONFIG
from evalharness.runner.resume_limits import restore_limits
from evalharness.throttle.circuit_breaker import Outage
from evalharness.throttle.clock import SystemClock
from evalharness.throttle.limiter import EndpointLimiter
from tests.durability.processes import Emulator, ForkServer

Emulate = Callable[..., AbstractContextManager[Emulator]]
PLAN = ("sweep=none", "scoring=none", "params.max_tokens=8", "limits.concurrency=16")
KEY = {"EVH_TEST_KEY": "a-key-that-is-not-right-0123456789"}


def _run(emulator: Emulator, *more: str) -> list[str]:
    return ["run", "name=r", *emulator.provider, *PLAN, *more]


@pytest.mark.parametrize(
    ("options", "overrides", "said"),
    [
        (
            ["--require-key", "another-key"],
            ["provider.api_key_env=EVH_TEST_KEY"],
            "the key was refused",
        ),
        (["--fault", "status=402=1"], [], "no credit left"),
        (["--fault", "status=403;message=You have run out of credits=1"], [], "no credit left"),
        (["--fault", "status=429;message=All credits are used up=1"], [], "no credit left"),
        (
            ["--fault", "status=429;code=insufficient_quota=1"],
            ["+provider.profile.quota_is_money=true"],
            "no credit left",
        ),
        (
            ["--fault", "status=400;code=Arrearage=1"],
            ["provider.profile.fatal_codes=[Arrearage]"],
            "no credit left",
        ),
    ],
    ids=["401", "402", "403", "429", "quota", "code"],
)
def test_a_dead_account_ends_the_run_with_exit_3(
    fork_server: ForkServer,
    emulate: Any,
    tmp_path: Path,
    options: list[str],
    overrides: list[str],
    said: str,
) -> None:
    """P11: nothing new after the first such answer; the last line is the command that goes on."""
    with emulate(*options) as emulator:
        arguments = _run(emulator, "repeats=20", *overrides)
        done = fork_server.run(tmp_path, *arguments, **KEY)
        assert len(emulator.ledger()) <= 16  # what was in flight
    assert done.code == 3, done.err
    assert f"stopped: {said}" in done.err
    assert done.last_line.startswith("240 trials left; to go on: evalharness run name=r ")
    run = package.load(tmp_path / "results" / "r")
    assert (run.manifest.status, len(run.records())) == ("stopped", 0)
    assert len(run.attempts()) >= 1


def test_a_key_refused_now_and_then_is_no_dead_account(
    fork_server: ForkServer, emulate: Any, tmp_path: Path
) -> None:
    """After a success it takes three refusals in a row: one 401 in ten stops nothing."""
    with emulate("--fault", "status=401=0.1", "--seed", "3") as emulator:
        arguments = _run(emulator, "repeats=5", "limits.concurrency=1")
        done = fork_server.run(tmp_path, *arguments, quiet=True)
        seen = Counter(row["status"] for row in emulator.ledger())
    assert done.code == 0, done.err
    assert seen[401] >= 2
    assert seen[200] == 60


def test_twenty_equal_errors_at_the_start_end_the_run(
    fork_server: ForkServer, emulate: Any, tmp_path: Path
) -> None:
    """The first 20 results one permanent error: stop, say which, and how to go on."""
    with emulate("--fault", "status=404;message=no such model=1") as emulator:
        done = fork_server.run(tmp_path, *_run(emulator, "repeats=20"))
        sent = len(emulator.ledger())
    assert done.code == 2, done.err
    assert "stopped: the first 20 results are all the same error: 404 not_found" in done.err
    assert "no such model" in done.err
    assert 20 <= sent <= 20 + 15
    assert "left, once that is put right; to go on: evalharness run name=r " in done.last_line
    records = package.load(tmp_path / "results" / "r").records()
    assert len(records) == sent


def test_what_a_filter_refuses_ends_no_run(
    fork_server: ForkServer, emulate: Any, tmp_path: Path
) -> None:
    """Each prompt is asked once and refused, however many in a row: the run is complete."""
    with emulate("--fault", "status=400;code=content_filter;message=filtered=1") as emulator:
        done = fork_server.run(tmp_path, *_run(emulator, "repeats=3"))
        assert len(emulator.ledger()) == 36
    assert done.code == 0, done.err
    records = package.load(tmp_path / "results" / "r").records()
    assert set(records["status"]) == {"refused"}
    assert set(records["error_message"]) == {"HTTP 400: filtered"}


@pytest.mark.parametrize("transport", ["auto", "reqwest", "httpx"])
def test_an_odd_status_in_the_middle_is_an_error_row(
    fork_server: ForkServer, emulate: Any, tmp_path: Path, transport: str
) -> None:
    """304 and 418 are no redirects: the other trials are answered."""
    odd = [x for status in (304, 418) for x in ("--fault", f"status={status}=0.1")]
    with emulate(*odd, "--seed", "5") as emulator:
        arguments = _run(emulator, "repeats=5", f"transport={transport}")
        done = fork_server.run(tmp_path, *arguments)
    assert done.code == 1, done.err
    records = package.load(tmp_path / "results" / "r").records()
    assert len(records) == 60
    errors = records[records["status"] == "error"]
    assert set(errors["error_kind"]) == {"http_other"}
    assert set(errors["http_status"]) == {304, 418}


def test_whatever_goes_wrong_an_answer_is_bought_once(
    fork_server: ForkServer, emulate: Any, tmp_path: Path
) -> None:
    """P10, P15: faults of every class; each delivered answer is one request, attempts are bounded.

    The emulator's ledger is the truth: a trial may be billed twice only where an attempt of its
    was in doubt, and that is said.
    """
    rates = {
        "status=503": 0.03, "status=500": 0.03, "status=409": 0.03, "status=408": 0.02,
        "status=429;retry-after-ms=50": 0.03, "status=422": 0.02, "reset": 0.02,
        "in_doubt": 0.03, "cut": 0.02, "html": 0.02, "truncated_json": 0.02, "no_choices": 0.02,
        # Delivered, however odd: never asked for again.
        "empty_text": 0.05, "refusal": 0.05, "content_filter": 0.05, "missing_usage": 0.05,
        "null_usage": 0.03, "nan": 0.03, "extra_choices": 0.05, "negative_usage": 0.03,
    }  # fmt: skip
    faults = [x for name, rate in rates.items() for x in ("--fault", f"{name}={rate}")]
    with emulate(*faults) as emulator:
        done = fork_server.run(tmp_path, *_run(emulator, "repeats=20"), quiet=True)
        ledger = emulator.ledger()
    assert done.code == 1, done.err  # 422 and the like are failed trials
    run = package.load(tmp_path / "results" / "r")
    attempts, records = run.attempts(), run.records()
    assert len(records) == 240
    assert records["attempts"].max() <= 5
    assert len(ledger) == len(attempts[attempts["outcome"] != "not_sent"])
    by_id = {row["client_request_id"]: row for row in ledger}
    assert len(by_id) == len(ledger)
    billed = Counter(
        attempt.trial_id
        for attempt in attempts.itertuples()
        if by_id[attempt.client_request_id]["billed"]
    )
    doubtful = Counter(attempts.loc[attempts["outcome"] == "in_doubt", "trial_id"])
    delivered = Counter(attempts.loc[attempts["outcome"] == "delivered", "trial_id"])
    assert max(delivered.values()) == 1
    assert all(count <= 1 + doubtful[trial] for trial, count in billed.items())
    assert sum(billed.values()) > len(billed)  # some were: the test would see it
    kinds = Counter(row["fault"] for row in ledger if row["fault"])
    assert {"refusal", "content_filter", "empty_text", "missing_usage"} <= {
        str(kind).split("=")[0] for kind in kinds
    }
    odd = records[records["status"].isin(["empty", "refused"])]
    assert len(odd) >= 10


def test_an_endpoint_in_trouble_does_not_hold_up_the_other(
    fork_server: ForkServer, emulate: Any, tmp_path: Path
) -> None:
    """Two endpoints, four workers: one asks for ten minutes of quiet, the other is finished."""
    (tmp_path / "configs" / "provider").mkdir(parents=True)
    with emulate() as well, emulate("--fault", "status=429;retry-after=600=1") as ill:
        for name, emulator in (("well", well), ("ill", ill)):
            (tmp_path / "configs" / "provider" / f"{name}.yaml").write_text(
                f"kind: remote\nname: {name}\nmodel: m\nbase_url: {emulator.base_url}\n"
            )
        command = fork_server.start(
            tmp_path, "run", "name=r", "provider=well", "sweep=none",
            "sweep.provider=[well,ill]", "scoring=none", "params.max_tokens=8", "repeats=10",
            "limits.concurrency=4",
        )  # fmt: skip
        well.wait_until_served(120, by=command)
        assert len(ill.ledger()) <= 4
        while "waiting for ill: paused" not in command.errors():
            assert command.poll() is None
        command.signal(signal.SIGINT)
        done = command.wait()
    assert done.code == 130, done.err
    records = package.load(tmp_path / "results" / "r").records()
    assert Counter(records["provider"]) == {"well": 120}


def test_adaptive_concurrency_is_told_with_reasons(
    fork_server: ForkServer, emulate: Any, tmp_path: Path
) -> None:
    """The manifest, the JSON and the console say which limits there were, by session, and why."""
    with emulate("--fault", "status=429;retry-after-ms=20=0.04") as emulator:
        for repeats in (6, 10):
            done = fork_server.run(
                tmp_path, *_run(emulator, f"repeats={repeats}"), "limits.concurrency=64",
                "limits.adaptive=true", "limits.max_attempts=9", quiet=repeats == 6,
            )  # fmt: skip
            assert done.code == 0, done.err
    manifest = json.loads((tmp_path / "results" / "r" / "run.json").read_text())
    sessions = manifest["throttle"]
    assert [s["endpoint"] for s in sessions] == ["openai_compatible"] * 2
    for session in sessions:
        changes = session["changes"]
        assert (changes[0]["limit"], changes[0]["reason"]) == (20, "start")
        assert all(1 <= change["limit"] <= 64 for change in changes)
        assert [c["at"] for c in changes] == sorted(c["at"] for c in changes)
    assert any(c["reason"] == "429" for s in sessions for c in s["changes"])
    assert "adaptive concurrency, openai_compatible: 20 at first" in done.out
    shown = fork_server.run(tmp_path, "report", "r", "--json")
    assert json.loads(shown.out)["provenance"]["throttle"] == sessions
    page = fork_server.run(tmp_path, "report", "r", "--html", "page.html")
    assert page.code == 0
    assert "Adaptive concurrency" in (tmp_path / "page.html").read_text()


def test_a_wrong_address_stops_and_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody was ever there: exit 2 at the first probe, address and cause, 0 requests sent."""
    monkeypatch.chdir(tmp_path)
    for name, value in (("PROBE_S", 0.1), ("SPAN_S", 0.0), ("ROUNDS", 1)):
        monkeypatch.setattr(Outage, name, value)
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    provider = ["provider=openai_compatible", "provider.model=m", f"provider.base_url={address}"]
    for _ in range(2):
        code = main(["run", "name=w", *provider, *PLAN, "dataset.limit=2", "repeats=3"])
        said = capsys.readouterr().err
        assert code == EXIT_CONFIG, said
        assert f"stopped: no request ever reached {address} (Connection refused" in said
        assert "is provider.base_url right?" in said
        assert " 0 requests sent, 0 of them retries" in said
        last = said.splitlines()[-1]
        assert last.startswith("6 trials left, once that is put right; to go on: evalharness run")
    assert package.load(tmp_path / "results" / "w").manifest.status == "stopped"
    assert main(["report", "w"]) == EXIT_CONFIG
    said = capsys.readouterr().err
    assert "holds no records yet" in said
    assert "evalharness run name=w" not in said, "that would be the quickstart, in this folder"
    assert "the command that made it, once more" in said


def test_an_endpoint_that_answered_an_earlier_command_is_waited_for(
    fork_server: ForkServer, emulate: Emulate, tmp_path: Path
) -> None:
    """What an earlier process recorded says that the address is right; retries are told."""
    with emulate("--fault", "status=503=0.5") as emulator:
        done = fork_server.run(tmp_path, *_run(emulator, "dataset.limit=2", "repeats=3"))
    root = tmp_path / "results" / "r"
    attempts = package.load(root).attempts()
    sent = f"{len(attempts)} requests sent, {(attempts['attempt'] > 1).sum()} of them retries"
    assert sent in done.err
    gate = EndpointLimiter("openai_compatible", LimitsConfig(), Profile(), SystemClock())
    restore_limits(root, {"openai_compatible": gate, "another": gate}, 120.0)
    assert gate.policy.ever_reached
