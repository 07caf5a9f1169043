"""``reconcile`` against the emulator's log."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import evalharness as package
from tests.cli.emulated_provider import emulator, ledger

KEY = "sk-rehearsal-7f3a9c"


def _run(base_url: str, prompts: Path, name: str) -> list[str]:
    return [
        "run", "provider=openai_compatible", f"provider.base_url={base_url}",
        "provider.model=qwen-plus", "provider.api_key_env=EMULATOR_KEY", "dataset=file",
        f"dataset.path={prompts}", "dataset.limit=10", f"name={name}", "sweep=none",
        "scoring=none", "repeats=4", "params.max_tokens=30", "limits.max_attempts=8",
        'pricing.prices=[{model: "*", price_usd_per_mtok: {prompt: 0.4, cached: 0.16, '
        "completion: 1.2}}]",
    ]  # fmt: skip


def test_a_run_is_reconciled_with_the_providers_log(
    in_process: Any, prompts: Path, tmp_path: Path
) -> None:
    """Every attempt is found, doubt resolved, bills agree to the last digit; the key is hidden."""
    faults = ("--in-doubt", "0.15", "--error-rate", "0.1", "--require-key", KEY)
    with emulator(*faults) as base_url:
        done = in_process(*_run(base_url, prompts, "r"), EMULATOR_KEY=KEY)
        assert done.returncode in (0, 1), done.stderr
        refused = in_process("reconcile", "r", EMULATOR_KEY="another-key")
        unset = in_process("reconcile", "r", EMULATOR_KEY="")
        found = in_process("reconcile", "r", "--json", EMULATOR_KEY=KEY)
        shown = in_process("reconcile", "r", EMULATOR_KEY=KEY)
    assert found.returncode == 0, found.stderr
    facts: dict[str, Any] = json.loads(found.stdout)
    assert facts["matched"] == facts["attempts"] == facts["logged"] > 40
    assert facts["missing"]["count"] == 0
    assert facts["billed"]["difference_usd"] == 0
    assert facts["computed"]["difference_usd"] == 0
    doubt = facts["in_doubt"]
    assert doubt["count"] == doubt["billed"] > 0
    assert doubt["billed_usd"] > 0
    assert facts["trials_billed_more_than_once"]["count"] > 0
    assert facts["other_rows"] == 0
    assert "in doubt:" in shown.stdout
    assert refused.returncode == 2
    assert "refused the key" in refused.stderr
    assert unset.returncode == 2
    assert "EMULATOR_KEY" in unset.stderr
    for output in (done, found, shown, refused):
        assert KEY not in output.stdout + output.stderr
    assert not [
        p
        for p in (tmp_path / "results").rglob("*")
        if p.is_file() and KEY.encode() in p.read_bytes()
    ]


def test_a_killed_run_is_reconciled_over_many_pages(
    in_process: Any, prompts: Path, tmp_path: Path
) -> None:
    """What a kill left in doubt is resolved to the last dollar; the folder stays as it was."""
    truth = tmp_path / "truth.jsonl"
    faults = ("--in-doubt", "0.05", "--error-rate", "0.05", "--ttft-ms", "30", "--require-key", KEY)
    with emulator(*faults, "--ledger", str(truth)) as base_url:
        arguments = [
            a.replace("repeats=4", "repeats=13") for a in _run(base_url, prompts, "killed")
        ]
        with subprocess.Popen(
            [sys.executable, "-m", "evalharness", *arguments], cwd=tmp_path,
            env={**os.environ, "EMULATOR_KEY": KEY}, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        ) as process:  # fmt: skip
            while not (truth.exists() and len(ledger(truth)) > 30):
                with contextlib.suppress(subprocess.TimeoutExpired):
                    assert process.wait(0.02) == 0, "it ended before it was killed"
            process.kill()
        assert in_process(*arguments, EMULATOR_KEY=KEY).returncode in (0, 1)
        before = _contents(tmp_path / "results" / "killed")
        found = in_process("reconcile", "killed", "--json", EMULATOR_KEY=KEY)
    assert found.returncode == 0, found.stderr
    assert _contents(tmp_path / "results" / "killed") == before
    facts: dict[str, Any] = json.loads(found.stdout)
    attempts = package.load(tmp_path / "results" / "killed").attempts()
    assert facts["attempts"] == len(attempts) > 130
    assert facts["missing"]["count"] == facts["billed_twice"]["count"] == 0
    doubtful = set(attempts[attempts["outcome"] == "in_doubt"]["client_request_id"])
    killed = set(attempts[attempts["error_kind"] == "interrupted"]["client_request_id"])
    assert killed
    assert killed <= doubtful
    bills = {row["client_request_id"]: Decimal(row["billed_usd"]) for row in ledger(truth)}
    paid = [bills[i] for i in doubtful if bills.get(i)]
    doubt = facts["in_doubt"]
    assert doubt["count"] == len(doubtful)
    assert doubt["billed"] == len(paid) > 0
    assert doubt["billed_usd"] == pytest.approx(float(sum(paid)))
    assert doubt["count"] == doubt["billed"] + doubt["not_billed"] + doubt["not_listed"]
    assert facts["logged_usd"] == pytest.approx(float(sum(bills.values())))


def _contents(root: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_rows_that_are_not_there_yet_are_missing(in_process: Any, prompts: Path) -> None:
    """A log that lags behind misses answers: said so, with exit code 1."""
    with emulator("--logs-delay-s", "3600", "--in-doubt", "0.2") as base_url:
        in_process(*_run(base_url, prompts, "late"), EMULATOR_KEY=KEY)
        found = in_process("reconcile", "late", "--json", EMULATOR_KEY=KEY)
        shown = in_process("reconcile", "late", EMULATOR_KEY=KEY).stdout
    assert "not in the log (at worst $" in shown
    assert found.returncode == 1, found.stderr
    facts = json.loads(found.stdout)
    assert facts["matched"] == 0
    doubtful = facts["in_doubt"]["count"]
    assert facts["missing"]["count"] == facts["attempts"] - doubtful >= 20
    assert facts["in_doubt"]["not_listed"] == doubtful > 0
    assert f"missing: {facts['missing']['count']} answers" in shown
    assert len(facts["missing"]["first"]) == 20


def test_a_run_without_a_log_to_ask_is_refused(in_process: Any, prompts: Path) -> None:
    """The emulator of a run is gone with the run; the message says what would work."""
    in_process(
        "run", "provider=emulator", "dataset=file", f"dataset.path={prompts}", "dataset.limit=1",
        "name=gone", "sweep=none", "scoring=none", "repeats=1", "params.max_tokens=5",
    )  # fmt: skip
    found = in_process("reconcile", "gone")
    assert found.returncode == 2
    assert "provider=aimlapi" in found.stderr


# ── the comparison ───────────────────────────────────────────────────────────────────────────────


# ── reading the log ──────────────────────────────────────────────────────────────────────────────
