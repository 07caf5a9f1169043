"""Batches of the three protocols against the emulator, and what its ledger says was served."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.batch.conftest import BatchRun
from tests.batch.relay import relaying
from tests.cli.emulated_provider import emulator, ledger

PROTOCOLS = [
    "chat",
    "responses",
    "messages",
]
# Of every kind of trouble some.
TROUBLE = (
    "--batch-fail", "0.1", "--batch-expire", "0.15", "--batch-duplicate", "0.3",
    "--batch-shuffle", "--batch-unknown", "--batch-lost-create", "0.5", "--seed", "3",
)  # fmt: skip


def _form(protocol: str) -> str:
    return "anthropic" if protocol == "messages" else "openai"


def _run(run: BatchRun, url: str, protocol: str, *arguments: str):
    run.url = url
    return run(f"provider.protocol={protocol}", *arguments, form=_form(protocol))


def _served(path: Path) -> Counter[str]:
    """How often each request of a batch was answered with success."""
    return Counter(row["batch_custom_id"] for row in ledger(path) if row["status"] == 200)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_plan_is_sent(run: BatchRun, tmp_path: Path, protocol: str) -> None:
    """Each request once, in batches; the same texts as sent live."""
    file = tmp_path / "ledger.jsonl"
    with emulator("--ledger", str(file)) as url:
        done = _run(run, url, protocol)
        assert done.returncode == 0, done.stderr
        assert sorted(_served(file).values()) == [1] * 12
        assert {row["protocol"] for row in ledger(file)} == {protocol}
    records = run.rows("records")
    assert {r["status"] for r in records} <= {"ok", "truncated"}
    assert all(r["batch_id"] and r["completion_tokens"] and r["latency_s"] is None for r in records)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_trouble_of_every_kind(run: BatchRun, tmp_path: Path, protocol: str) -> None:
    """Failed, expired, doubled, shuffled, unknown lines, lost creations: nothing lost or doubled."""
    file = tmp_path / "ledger.jsonl"
    with emulator("--ledger", str(file), *TROUBLE) as url:
        done = _run(run, url, protocol, "limits.max_attempts=20", "repeats=5")
        assert done.returncode == 0, done.stderr
        assert set(_served(file).values()) == {1}
        assert len(_served(file)) == 30
    assert len(run.rows("records")) == 30
    kinds = {a["error_kind"] for a in run.rows("attempts")}
    assert {"expired", "server_error"} <= kinds
    assert "it may exist, and is looked for" in done.stderr
    assert "answer none of its requests" in done.stderr


@pytest.mark.parametrize(
    "protocol", ["chat", pytest.param("responses", marks=pytest.mark.long), "messages"]
)
def test_killed_over_and_over(run: BatchRun, tmp_path: Path, protocol: str) -> None:
    """``kill -9`` at twenty calls of one run, before or after each; the ledger has each once."""
    file, few = tmp_path / "ledger.jsonl", "+provider.profile.batch.max_requests=3"
    with emulator("--ledger", str(file)) as direct, relaying(direct) as relay:
        for number in range(20):
            # Another call in each session, so that all of them are struck.
            relay.kill_at(1 + number % 4, run.kill, served=number % 3 > 0)
            assert _run(run, relay.url, protocol, few, "repeats=8").returncode == -signal.SIGKILL
        relay.spare()
        done = _run(run, relay.url, protocol, few, "repeats=8")
        assert done.returncode == 0, done.stderr
        served = _served(file)
        assert set(served.values()) == {1}
        assert len(served) == 48
    assert len(run.rows("records")) == 48
