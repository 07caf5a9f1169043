"""The money and the words of runs in batches, from the command to its outputs."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from evalharness.pricing import PriceBook, usd_text
from evalharness.store.folder.run import Run
from evalharness.store.journal.batch_files import read_states
from evalharness.view.record.money import record_cost
from evalharness.view.record.read import plain_rows, price_book
from tests.batch.conftest import BatchRun
from tests.batch.server import expired, nth_call, served

# 10 prompt tokens at $1 and 5 of a completion at $2 a million; half of it in a batch.
ALONE, IN_BATCH = Decimal("0.00002"), Decimal("0.00001")


def _json(run: BatchRun, *arguments: str) -> Any:
    done = run.command(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout, parse_float=Decimal)


def test_batches_are_priced_and_what_they_saved_is_said(run: BatchRun) -> None:
    """Records of one run, some of them sent alone: each at its own price, compared exactly."""
    run.provider.result = lambda line, _: (
        expired(line) if "question 1" in str(line["body"]) else served(line)
    )
    done = run("execution.on_expired=live")
    assert done.returncode == 0, done.stderr
    data = _json(run, "report", "r")
    money = data["money"]
    assert money["batch"] == {
        "records": 10, "compared": 10, "unknown": 0, "batch_usd": 10 * IN_BATCH,
        "live_usd": 10 * ALONE, "saved_usd": 10 * (ALONE - IN_BATCH),
    }  # fmt: skip
    total = 10 * IN_BATCH + 2 * ALONE
    assert money["total"]["total_usd"] == total
    assert money["attempts"]["all"]["usd"] == total
    basis = {price["batch_basis"] for price in data["prices"]["used"]}
    assert basis == {None, "batch_discount: 0.5"}
    sentence = "10 records for $0.0001, $0.0001 less than the $0.0002 of single requests"
    for shown in (
        " ".join(run.command("report", "r").stdout.split()),
        run.command("report", "r", "--markdown").stdout.replace("\\$", "$"),
        (run.root / "report.html").read_text(),
    ):
        assert sentence in shown


def test_a_record_shows_the_arithmetic_of_its_batch(run: BatchRun) -> None:
    """At the batch's rates, and with where they come from."""
    assert run().returncode == 0
    stored = Run.open(run.root)
    book, problem = price_book(stored)
    assert problem is None
    [row, *_] = plain_rows(stored.table("records"))
    cost = record_cost(row, book)
    assert cost.total == usd_text(IN_BATCH)
    assert [step[2] for step in cost.steps] == ["$0.5 per million", "$1 per million"]
    assert "a batch's price: batch_discount: 0.5" in cost.notes
    unknown = record_cost(row, PriceBook([]))
    assert (unknown.total, unknown.why) == (None, "no price of requests in batches")


def test_times_that_nobody_measured_are_in_no_figure(run: BatchRun) -> None:
    """No latencies, no throughput: said in a word, not as empty tables or zeros."""
    assert run().returncode == 0
    shown = run.command("report", "r").stdout
    assert "Latency: Not known. No latencies: batch." in shown
    assert "p50/p95" not in shown
    data = _json(run, "report", "r")
    assert data["timeline"] is None
    assert data["attempts"]["in_flight"] == {"mean": None, "max": None}
    assert data["attempts"]["queue_s"] == {"p50": None, "p95": None}
    [setting] = data["settings"]
    assert setting["latency_s"]["n"] == 0
    assert setting["latency_s"]["p50"] is None
    [breakdown] = data["breakdowns"]
    assert [group["group"] for group in breakdown["time_gap"]] in ([], ["unknown"])
    csv = run.command("export", "r", "--format", "csv").stdout.splitlines()[0].split(",")
    assert {"batch_id", "batch_submitted_at", "batch_finished_at"} <= set(csv)


def test_without_a_batch_price_the_cost_is_unknown(run: BatchRun) -> None:
    """Never the price of single requests; with a limit nothing is sent; the line to add is said."""
    price = 'pricing.prices=[{model: "*", price_usd_per_mtok: {prompt: 1, completion: 2}}]'
    limited = run(price, "limits.max_cost_usd=1")
    assert limited.returncode == 2
    assert "price of m at openai_compatible in batches is unknown" in limited.stderr
    assert "batch_discount: 0.5" in limited.stderr
    assert run.provider.calls == []
    assert run(price).returncode == 0
    data = _json(run, "report", "r")
    assert data["money"]["total"]["total_usd"] is None
    assert data["money"]["total"]["unknown_reasons"] == {"no_price": 12}
    assert data["money"]["batch"]["unknown"] == 12
    assert data["money"]["batch"]["saved_usd"] is None
    assert [(u["model"], u["in_batch"]) for u in data["prices"]["unpriced"]] == [("m", True)]
    shown = " ".join(run.command("report", "r").stdout.split())
    assert "No price is known for these models in batches." in shown
    assert "no price for m at openai_compatible in batches" in shown
    # The provider's documented discount is enough, and is named.
    discount = "+provider.profile.batch.discount=0.25"
    assert run(price, discount, "name=d").returncode == 0
    data = _json(run, "report", "d")
    assert data["money"]["total"]["total_usd"] == 12 * ALONE * Decimal("0.75")
    assert data["prices"]["used"][0]["batch_basis"] == "provider.profile.batch.discount=0.25"


def test_plan_says_what_batches_cost_and_how_long_they_may_take(run: BatchRun) -> None:
    """For single requests beside their own cost, in batches instead of it; windows are given."""
    window = "+provider.profile.batch.completion_window=48h"
    files = "provider.profile.batch.max_requests=5"
    shared = [
        "provider=openai_compatible", f"provider.base_url={run.url}", "provider.model=m",
        "+provider.profile.batch.form=openai", "+" + files, window, "dataset.path=prompts.jsonl",
        "name=r", "repeats=2", "params.max_tokens=20",
        "pricing.prices=[{model: m, price_usd_per_mtok: {prompt: 1, completion: 2}, "
        "batch: {price_usd_per_mtok: {prompt: 0.1, completion: 0.2}}}]",
    ]  # fmt: skip
    alone = _json(run, "plan", *shared)
    assert not alone["batch"]["chosen"]
    for end in ("least", "most"):
        assert abs(alone["batch"]["cost_usd"][end] * 10 - alone["cost_usd"][end]) < Decimal("1e-12")
    shown = run.command("plan", *shared).stdout
    assert "in batches (execution=batch): $" in shown
    assert "up to 48 h" in shown
    batch = _json(run, "plan", *shared, "execution=batch")
    assert batch["cost_usd"] == batch["batch"]["cost_usd"] == alone["batch"]["cost_usd"]
    assert abs(batch["worst_case_usd"] * 10 - alone["worst_case_usd"]) < Decimal("1e-12")
    counted = batch["batch"]["files"]
    assert (counted["files"], counted["is_exact"], counted["requests"]) == (3, True, 12)
    shown = run.command("plan", *shared, "execution=batch").stdout
    assert "time: up to 48 h for each batch, as the provider says" in shown
    assert "batches: 3 files with 12 requests" in shown
    streamed = run.command("plan", *shared, "params.stream=true").stdout
    assert "not as configured, params.stream=true: a batch is not streamed" in streamed


def test_waiting_batches_are_listed_and_not_planned_again(run: BatchRun) -> None:
    """After Ctrl-C and after a kill: from the folder alone; the size of the files is exact."""
    limit = "+provider.profile.batch.max_requests=5"
    run.provider.polls = 1000
    run.provider.after = nth_call("GET /v1/batches/", 4, run.interrupt)
    stopped = run(limit)
    assert "3 batches with 12 requests go on" in stopped.stderr
    states = read_states(run.root)
    counted = sum(path.stat().st_size for path in run.root.glob("batches/*.jsonl"))
    assert sum(state.bytes for state in states) == counted
    calls = len(run.provider.calls)
    [row] = _json(run, "list")
    assert (row["status"], row["waiting"]) == ("waiting", {"batches": 3, "requests": 12})
    assert "waiting: 3 batches, 12 requests" in run.command("list").stdout
    shared = [a for a in run.arguments(limit) if a != "run"]
    plan = _json(run, "plan", *shared)
    assert (plan["to_send"], plan["waiting"], plan["recorded"]) == (0, 12, 0)
    assert "to fetch the answers of its batches: evalharness run" in (
        run.command("plan", *shared).stdout
    )
    assert len(run.provider.calls) == calls
    killed = Path(run.root, "run.json")
    killed.write_text(killed.read_text().replace('"waiting"', '"running"'))
    assert _json(run, "list")[0]["status"] == "waiting"
    run.provider.polls, run.provider.after = 1, lambda _: False
    assert run(limit).returncode == 0
    [row] = _json(run, "list")
    assert (row["status"], row["waiting"]) == ("complete", None)


def test_the_worst_case_is_that_of_the_dearer_way(run: BatchRun) -> None:
    """What batches leave is asked alone, at the price of that, where the run says so."""
    worst = [
        _json(run, "plan", *run.arguments(f"execution.on_expired={way}")[1:])["worst_case_usd"]
        for way in ("batch", "live")
    ]
    assert worst[1] == 2 * worst[0]
