"""Message batches: nothing can be kept with one, so its results tell whose it is."""

from __future__ import annotations

import time

import pytest

from tests.batch.conftest import BatchRun
from tests.batch.server import Json, expired, nth_call, served

CREATE = "POST /v1/messages/batches"


def test_a_plan_is_sent_in_message_batches(run: BatchRun) -> None:
    """The names of requests have at most 64 characters of their own alphabet."""
    done = run("+provider.profile.batch.max_requests=5", form="anthropic")
    assert done.returncode == 0, done.stderr
    assert [len(b["lines"]) for b in run.provider.batches.values()] == [5, 5, 2]
    assert all(len(n) <= 64 and n.replace("-", "").isalnum() for n in run.provider.bought)
    assert {r["text"] for r in run.rows("records")} == {f"echo question {i}" for i in range(6)}
    assert all("anthropic-version" in headers for headers in run.provider.headers)
    run.assert_bought_once()


@pytest.mark.parametrize("when", ["before", "after"])
def test_kill_at_the_creation(run: BatchRun, when: str) -> None:
    """A batch that may have been made is found by its results, and only then another is made."""
    setattr(run.provider, when, nth_call(CREATE, 1, run.kill))
    assert run(form="anthropic").returncode == -9
    run.provider.before = run.provider.after = lambda _: False
    done = run(form="anthropic")
    assert done.returncode == 0, done.stderr
    run.assert_bought_once()


def test_a_batch_of_somebody_else_is_not_taken(run: BatchRun) -> None:
    """One of the same size and time, made by the same plan: its results are not ours."""
    lines = [{"custom_id": f"evh-{i:032x}-1-0", "params": {}} for i in range(12)]
    other: Json = {"id": "msgbatch-other", "lines": lines, "polls": -100, "messages": True}
    other["created_at"] = int(time.time())
    run.provider.batches["msgbatch-other"] = other
    run.provider.result = lambda line, batch: (
        expired(line) if batch["id"] == "msgbatch-other" else served(line)
    )
    run.provider.before = nth_call(CREATE, 1, lambda: None)
    # While it goes on, nobody can tell: nothing is sent.
    looks = nth_call("GET /v1/messages/batches", 5, lambda: other.update(polls=100))
    run.provider.after = lambda call: looks(call) and False
    done = run(form="anthropic")
    assert done.returncode == 0, done.stderr
    calls = run.provider.calls
    assert calls.count("GET /v1/messages/batches/msgbatch-other/results") == 1
    assert calls.index("GET /v1/messages/batches/msgbatch-other/results") < calls.index(CREATE)
    assert {r["batch_id"] for r in run.rows("records")} == {"msgbatch-1"}


@pytest.mark.parametrize("archived", [True, False])
def test_a_batch_without_results_stays_undecided(run: BatchRun, archived: bool) -> None:
    """Its results are refused, or archived: it may be ours, so nothing is sent again."""
    run.provider.after = nth_call(CREATE, 1, run.kill)
    assert run(form="anthropic").returncode == -9
    run.provider.polls = 0
    run.provider.batches["msgbatch-0"]["archived"] = archived
    refusal = (404, {"type": "error", "error": {"type": "not_found_error", "message": "gone"}})
    if not archived:
        run.provider.refuse = {"GET /v1/messages/batches/.*/results": refusal}
    third = nth_call("GET /v1/messages/batches", 6, run.interrupt)
    run.provider.after = lambda call: third(call) and False
    stopped = run(form="anthropic")
    assert stopped.returncode == 130, stopped.stderr
    assert stopped.stderr.count("msgbatch-0 may be this batch") == 1
    run.provider.after = lambda _: False
    run.provider.batches["msgbatch-0"]["archived"], run.provider.refuse = False, {}
    done = run(form="anthropic")
    assert done.returncode == 0, done.stderr
    run.assert_bought_once()


def test_a_disk_error_at_a_candidate_is_told(run: BatchRun) -> None:
    """The command ends with one sentence; nothing is decided."""
    run.provider.after = nth_call(CREATE, 1, run.kill)
    assert run(form="anthropic").returncode == -9
    run.provider.polls, run.provider.after = 0, lambda _: False
    blocked = run.root / "batches/0001-candidate.jsonl"
    blocked.mkdir()
    failed = run(form="anthropic")
    assert failed.returncode not in (0, 70), failed.stderr
    assert "cannot keep 0001-candidate.jsonl" in failed.stderr
    assert "Traceback" not in failed.stderr
    blocked.rmdir()
    assert run(form="anthropic").returncode == 0
    run.assert_bought_once()


def test_expired_errored_and_cancelled(run: BatchRun) -> None:
    """Each of the four results of a request is told apart."""
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": "no"}}

    def result(line: Json, batch: Json) -> Json:
        name, text = line["custom_id"], str(line["params"])
        if "question 1" in text:
            return {"custom_id": name, "result": {"type": "errored", "error": error}}
        if "question 2" in text and batch["id"] == "msgbatch-0":
            return expired(line)
        return served(line)

    run.provider.result = result
    done = run(form="anthropic")
    assert done.returncode == 1, done.stderr
    bad = [r for r in run.rows("records") if r["status"] != "ok"]
    assert [(r["prompt_id"], r["http_status"], r["error_kind"]) for r in bad] == [
        ("p1", 400, "bad_request")
    ] * 2
    late = [a for a in run.rows("attempts") if a["error_kind"] == "expired"]
    assert [(a["prompt_id"], a["outcome"]) for a in late] == [("p2", "rejected")] * 2
