"""``reconcile`` against the emulator's log, and the comparison itself on rows written by hand."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import evalharness as package
from evalharness.errors import ConfigError, ProviderError
from evalharness.http.get import Got
from evalharness.reconcile import read_log, spans
from evalharness.reconcile.join import Attempt, discrepancies, reconcile_attempts
from evalharness.reconcile.log import LogRow
from tests.money.conftest import emulator, ledger

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
    inside: Any, prompts: Path, tmp_path: Path
) -> None:
    """Every attempt is found, doubt resolved, bills agree to the last digit; the key is hidden."""
    faults = ("--in-doubt", "0.15", "--error-rate", "0.1", "--require-key", KEY)
    with emulator(*faults) as base_url:
        done = inside(*_run(base_url, prompts, "r"), EMULATOR_KEY=KEY)
        assert done.returncode in (0, 1), done.stderr
        refused = inside("reconcile", "r", EMULATOR_KEY="another-key")
        unset = inside("reconcile", "r", EMULATOR_KEY="")
        found = inside("reconcile", "r", "--json", EMULATOR_KEY=KEY)
        shown = inside("reconcile", "r", EMULATOR_KEY=KEY)
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
    inside: Any, prompts: Path, tmp_path: Path
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
        assert inside(*arguments, EMULATOR_KEY=KEY).returncode in (0, 1)
        before = _contents(tmp_path / "results" / "killed")
        found = inside("reconcile", "killed", "--json", EMULATOR_KEY=KEY)
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


def test_rows_that_are_not_there_yet_are_missing(inside: Any, prompts: Path) -> None:
    """A log that lags behind misses answers: said so, with exit code 1."""
    with emulator("--logs-delay-s", "3600", "--in-doubt", "0.2") as base_url:
        inside(*_run(base_url, prompts, "late"), EMULATOR_KEY=KEY)
        found = inside("reconcile", "late", "--json", EMULATOR_KEY=KEY)
        shown = inside("reconcile", "late", EMULATOR_KEY=KEY).stdout
    assert "not in the log (at worst $" in shown
    assert found.returncode == 1, found.stderr
    facts = json.loads(found.stdout)
    assert facts["matched"] == 0
    doubtful = facts["in_doubt"]["count"]
    assert facts["missing"]["count"] == facts["attempts"] - doubtful >= 20
    assert facts["in_doubt"]["not_listed"] == doubtful > 0
    assert f"missing: {facts['missing']['count']} answers" in shown
    assert len(facts["missing"]["first"]) == 20


def test_a_run_without_a_log_to_ask_is_refused(inside: Any, prompts: Path) -> None:
    """The emulator of a run is gone with the run; the message says what would work."""
    inside(
        "run", "provider=emulator", "dataset=file", f"dataset.path={prompts}", "dataset.limit=1",
        "name=gone", "sweep=none", "scoring=none", "repeats=1", "params.max_tokens=5",
    )  # fmt: skip
    found = inside("reconcile", "gone")
    assert found.returncode == 2
    assert "provider=aimlapi" in found.stderr


# ── the comparison ───────────────────────────────────────────────────────────────────────────────


def _attempt(number: int, outcome: str = "delivered", **more: Any) -> Attempt:
    given: dict[str, Any] = {
        "trial_id": f"t{number}", "client_request_id": f"evh-{number}", "inference_id": None,
        "billed_usd": None, "computed_usd": None, "reserved_usd": None, **more,
    }  # fmt: skip
    return Attempt(outcome=outcome, **given)


def _row(number: int | None, usd: str, **more: Any) -> LogRow:
    given: dict[str, Any] = {
        "client_request_id": None if number is None else f"evh-{number}", "inference_id": None,
        "request_id": None, "created": None, "model": None, "succeeded": usd != "0",
        "prompt_tokens": None, "completion_tokens": None, **more,
    }  # fmt: skip
    return LogRow(usd=Decimal(usd), **given)


def test_every_kind_of_disagreement_is_counted() -> None:
    """Matched, missing, billed twice, doubt resolved three ways, strangers: each in its place."""
    attempts = [
        _attempt(1, billed_usd=Decimal("0.1"), computed_usd=Decimal("0.12")),
        _attempt(2, billed_usd=Decimal("0.1")),  # billed twice
        _attempt(3),  # missing
        _attempt(4, "in_doubt", trial_id="t5"),  # billed after all, and so was its retry
        _attempt(5, trial_id="t5"),
        _attempt(6, "in_doubt"),  # failed: not billed
        _attempt(7, "in_doubt", reserved_usd=Decimal("0.5")),  # nobody knows
        _attempt(8, "rejected"),  # not logged, and nobody's loss
        _attempt(9, inference_id="inf-9"),
    ]
    rows = [
        _row(1, "0.1"), _row(2, "0.1"), _row(2, "0.1"), _row(4, "0.3"), _row(5, "0.2"),
        _row(6, "0"), _row(None, "0.4", inference_id="inf-9"), _row(99, "9"), _row(None, "9"),
    ]  # fmt: skip
    facts = reconcile_attempts(attempts, rows)
    assert (facts["matched"], facts["logged"], facts["other_rows"]) == (6, 7, 2)
    assert facts["logged_usd"] == Decimal("1.2")
    assert facts["missing"] == {"count": 1, "first": ["evh-3"]}
    assert facts["billed_twice"] == {
        "count": 1, "first": ["evh-2"], "extra_usd": Decimal("0.1"),
    }  # fmt: skip
    assert facts["trials_billed_more_than_once"]["first"] == ["t5"]
    assert facts["trials_billed_more_than_once"]["extra_usd"] == Decimal("0.3")
    assert facts["in_doubt"] == {
        "count": 3, "billed": 1, "billed_usd": Decimal("0.3"), "not_billed": 1, "not_listed": 1,
        "at_worst_usd": Decimal("0.5"),
    }  # fmt: skip
    assert facts["billed"]["difference_usd"] == Decimal("-0.1")
    assert facts["computed"]["difference_usd"] == Decimal("0.02")
    assert discrepancies(facts)
    assert not discrepancies(reconcile_attempts(attempts[:1], rows[:1]))


# ── reading the log ──────────────────────────────────────────────────────────────────────────────

_START = datetime(2026, 1, 1, tzinfo=UTC)


class _Server:
    """A log that answers from a list; ``refuse`` answers come first."""

    def __init__(self, rows: int, refuse: Sequence[Got] = (), late: int = 0) -> None:
        self.rows, self.refuse, self.late = rows, list(refuse), late
        self.paused: list[float] = []
        self.asked = 0

    def get(self, url: str, params: Sequence[tuple[str, str]]) -> Got:
        self.asked += 1
        if self.refuse:
            return self.refuse.pop(0)
        query = dict(params)
        limit, offset = int(query["limit"]), int(query["offset"])
        ids = range(self.rows)[::-1]  # newest first
        if offset and self.late:
            self.rows, self.late = self.rows + self.late, 0  # appear while pages are read
        page = [{"client_request_id": f"evh-{i}", "request_id": f"r{i}", "status": "succeeded",
                 "cost": {"usd": "0.000000001"}} for i in ids[offset : offset + limit]]  # fmt: skip
        more = offset + len(page) < self.rows
        body = {"data": page, "pagination": {"total": self.rows, "has_more": more}}
        return Got(200, json.dumps(body).encode())

    def read(self) -> list[LogRow]:
        end = _START + timedelta(days=1)
        return read_log(self.get, "http://x/v2/logs", _START, end, pause=self.paused.append)


def test_every_page_is_read_within_the_rate_that_is_allowed() -> None:
    """Pages follow each other at 200 a minute; each row comes once, its cost exact."""
    server = _Server(250)
    rows = server.read()
    assert len({row.client_request_id for row in rows}) == len(rows) == 250
    assert rows[0].usd == Decimal("0.000000001")
    assert server.asked == 3
    assert min(server.paused) >= 60 / 200


def test_rows_that_appear_while_reading_are_not_lost() -> None:
    """New rows shift the pages; reading again finds what slipped."""
    server = _Server(250, late=7)
    assert len(server.read()) == 257


def test_a_busy_log_is_asked_again_and_a_wrong_address_is_not() -> None:
    """429 and 5xx wait as told; 404, a refused key and another answer end it with a reason."""
    server = _Server(5, [Got(429, retry_after="2"), Got(503), Got(None, problem="reset")])
    assert len(server.read()) == 5
    assert server.paused[0] == 2.0
    with pytest.raises(ConfigError, match="no /v2/logs"):
        _Server(5, [Got(404)]).read()
    with pytest.raises(ProviderError, match="refused the key"):
        _Server(5, [Got(401)]).read()
    with pytest.raises(ProviderError, match="something else"):
        _Server(5, [Got(200, b"<html>")]).read()
    with pytest.raises(ProviderError, match="HTTP 503"):
        _Server(5, [Got(503)] * 9).read()


def test_spans_leave_room_and_skip_long_pauses() -> None:
    """Requests months apart are looked for in two spans, none longer than 92 days."""
    day = 86_400 * 10**9
    first = int(_START.timestamp() * 1e9)
    found = spans([first, first + day // 2, first + 200 * day])
    assert len(found) == 2
    assert found[0][0] < _START
    assert found[0][1] > _START + timedelta(hours=12)
    dense = spans([first + n * day // 2 for n in range(400)])
    assert all(end - start <= timedelta(days=92) for start, end in dense)
    assert spans([]) == []
