"""Whole runs in batches, against batch endpoints on a real socket."""

from __future__ import annotations

from decimal import Decimal

import pytest

from evalharness.store.journal.batch_files import BatchStage, read_states
from tests.batch.conftest import BatchRun
from tests.batch.server import Json, expired, served


def test_a_plan_is_sent_in_batches(run: BatchRun) -> None:
    """Files of at most so many requests, each answer a record, no time that nobody measured."""
    done = run("+provider.profile.batch.max_requests=5")
    assert done.returncode == 0, done.stderr
    assert [len(b["lines"]) for b in run.provider.batches.values()] == [5, 5, 2]
    records = run.rows("records")
    assert len(records) == 12
    for record in records:
        assert record["status"] == "ok"
        assert record["text"].startswith("echo question")
        assert record["batch_id"] in run.provider.batches
        assert record["batch_submitted_at"] is not None
        assert record["batch_finished_at"] is not None
        for name in ("latency_s", "headers_s", "ttft_s", "last_content_s"):
            assert record[name] is None, name
        assert record["request_json"] is not None
    assert "requests sent to openai_compatible as batch-0" in done.stderr
    assert {state.phase for state in read_states(run.root)} == {BatchStage.SETTLED}
    assert not list((run.root / "batches").glob("*.jsonl"))
    assert "nothing to send" in run().stderr


def test_live_trials_have_no_batch(run: BatchRun) -> None:
    """The columns are null where a request was sent alone."""
    done = run("execution=local")
    assert done.returncode == 0, done.stderr
    for table in ("records", "attempts"):
        for row in run.rows(table):
            assert (row["batch_id"], row["batch_submitted_at"], row["batch_finished_at"]) == (
                None, None, None,
            )  # fmt: skip
            assert row["latency_s"] is not None


def test_expired_requests_go_into_another_batch(run: BatchRun) -> None:
    """Each is asked again until it is answered, and its attempts say so."""

    def result(line: Json, batch: Json) -> Json:
        first = batch["id"] == "batch-0" and "question 1" in str(line["body"])
        return expired(line) if first else served(line)

    run.provider.result = result
    done = run()
    assert done.returncode == 0, done.stderr
    assert [len(b["lines"]) for b in run.provider.batches.values()] == [12, 2]
    first, second = (
        [a for a in run.rows("attempts") if a["prompt_id"] == "p1" and a["attempt"] == number]
        for number in (1, 2)
    )
    assert [(a["outcome"], a["error_kind"]) for a in first] == [("rejected", "expired")] * 2
    assert [a["outcome"] for a in second] == ["delivered"] * 2
    assert {a["client_request_id"][-2:] for a in second} == {".2"}


def test_expired_requests_are_asked_live(run: BatchRun) -> None:
    """``on_expired=live`` sends them one by one in the same command."""
    run.provider.result = lambda line, _: (
        expired(line) if "question 1" in str(line["body"]) else served(line)
    )
    done = run("execution.on_expired=live")
    assert done.returncode == 0, done.stderr
    assert run.provider.calls.count("POST /v1/chat/completions") == 2
    live = [r for r in run.rows("records") if r["batch_id"] is None]
    assert [(r["prompt_id"], r["status"], r["attempts"]) for r in live] == [("p1", "ok", 2)] * 2
    assert all(r["latency_s"] is not None for r in live)


def test_requests_that_always_expire_end_as_errors(run: BatchRun) -> None:
    """As often as limits.max_attempts says, and then it is a record of its own."""
    run.provider.result = lambda line, _: expired(line)
    done = run("limits.max_attempts=2")
    assert done.returncode == 1, done.stderr
    assert [len(b["lines"]) for b in run.provider.batches.values()] == [12, 12]
    assert {(r["status"], r["error_kind"], r["attempts"]) for r in run.rows("records")} == {
        ("error", "expired", 2)
    }


def test_odd_lines_lose_nothing(run: BatchRun) -> None:
    """Duplicates, strangers and broken lines are told and kept; the first line of each counts."""

    def result(line: Json, _: Json) -> Json | bytes:
        if "question 2" in str(line["body"]):  # no strict JSON, and an answer all the same
            text = str(served(line)).replace("'", '"').replace("None", "NaN")
            return text.encode()
        return served(line)

    run.provider.result = result
    run.provider.extra = [
        b'{"custom_id": "evh-unknown.1", "response": {"status_code": 200, "body": {}}}',
        b"{broken",
    ]
    original = run.provider._results

    def twice(batch: Json) -> bytes:
        lines = original(batch)
        return lines + lines.split(b"\n")[0] + b"\n"

    run.provider._results = twice
    done = run()
    assert done.returncode == 0, done.stderr
    assert len(run.rows("records")) == 12
    assert {r["status"] for r in run.rows("records")} == {"ok"}
    assert "1 line of its results repeat others" in done.stderr
    assert "2 lines of its results answer none of its requests" in done.stderr
    rest = (run.root / "batches/0001-other.jsonl").read_bytes()
    assert b"evh-unknown.1" in rest
    assert b"{broken" in rest
    assert rest.count(b"NaN") == 2


def test_a_request_without_a_line_is_in_doubt(run: BatchRun) -> None:
    """It may have been served and billed: asked again as often as in-doubt requests are."""
    run.provider.result = lambda line, batch: (
        None if batch["id"] == "batch-0" and "question 3" in str(line["body"]) else served(line)
    )
    done = run()
    assert done.returncode == 0, done.stderr
    lost = [a for a in run.rows("attempts") if a["prompt_id"] == "p3" and a["attempt"] == 1]
    assert [(a["outcome"], a["reserved_usd"] > 0) for a in lost] == [("in_doubt", True)] * 2
    assert [r["in_doubt"] for r in run.rows("records") if r["prompt_id"] == "p3"] == [True] * 2


@pytest.mark.parametrize("content", [b"", b"<html>\n" * 20, b"first line"])
def test_what_cannot_be_the_results_is_fetched_again(run: BatchRun, content: bytes) -> None:
    """The provider counts answers, and something else came: nothing is bought again."""
    show, serve = run.provider._shown, run.provider.serve
    came = iter([content, content])

    def shown(batch: Json) -> Json:
        batch = show(batch)
        batch["request_counts"]["completed"] = 12 if "output_file_id" in batch else 0
        return batch

    def served_late(method: str, path: str, body: bytes) -> tuple[int, bytes]:
        status, whole = serve(method, path, body)
        if not path.endswith("/content"):
            return status, whole
        return status, next(came, whole).replace(b"first line", whole.split(b"\n")[0])

    run.provider._shown, run.provider.serve = shown, served_late
    done = run()
    assert done.returncode == 0, done.stderr
    assert "the provider counts 12 answers, and its results do not hold so many" in done.stderr
    run.assert_bought_once()


def test_refused_requests_are_records(run: BatchRun) -> None:
    """A line with an error of the provider is classified as if it had come alone."""
    error = {"error": {"message": "no", "type": "invalid_request_error", "code": "bad"}}
    run.provider.result = lambda line, _: (
        {"custom_id": line["custom_id"], "response": {"status_code": 400, "body": error}}
        if "question 4" in str(line["body"])
        else served(line)
    )
    done = run()
    assert done.returncode == 1, done.stderr
    bad = [r for r in run.rows("records") if r["prompt_id"] == "p4"]
    assert [(r["status"], r["http_status"], r["error_kind"], r["attempts"]) for r in bad] == [
        ("error", 400, "bad_request", 1)
    ] * 2


def test_a_batch_that_fails_stops_the_run(run: BatchRun) -> None:
    """Its reason is said with its line; nothing is recorded, and nothing sent again."""
    run.provider.status = "failed"
    run.provider.errors = [{"code": "invalid_json_line", "message": "no JSON", "line": 3}]
    done = run()
    assert done.returncode == 2, done.stderr
    assert "batch 0001 failed: no JSON (line 3)" in done.stderr
    assert len(run.provider.batches) == 1
    assert run.rows("records") == []
    assert {a["outcome"] for a in run.rows("attempts")} == {"rejected"}


def test_the_cost_limit_holds_file_by_file(run: BatchRun) -> None:
    """A file is as large as the limit allows, and the next one waits until it is settled."""
    # Each request has at most some 150 tokens at half a dollar a million, and 20 at a dollar.
    done = run("limits.max_cost_usd=0.0004")
    sizes = [len(b["lines"]) for b in run.provider.batches.values()]
    assert done.returncode == 0, done.stderr
    assert len(sizes) > 1
    assert sum(sizes) == 12
    worst = [a["reserved_usd"] for a in run.rows("attempts")]
    assert sum(worst[: sizes[0]]) <= Decimal("0.0004") < sum(worst)
    short = run("limits.max_cost_usd=0.00005", "name=short")
    assert short.returncode == 4, short.stderr


def test_waiting_tokens_are_limited(run: BatchRun) -> None:
    """No more prompt tokens of a model wait at once than the provider takes."""
    most = 0

    def before(call: str) -> bool:
        nonlocal most
        waiting = [b for b in run.provider.batches.values() if b["polls"] < run.provider.polls]
        most = max(most, sum(len(b["lines"]) for b in waiting))
        return False

    run.provider.before = before
    done = run("+provider.profile.batch.max_enqueued_tokens=150")
    assert done.returncode == 0, done.stderr
    assert len(run.rows("records")) == 12
    assert 0 < most <= 5
