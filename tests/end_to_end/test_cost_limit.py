"""limits.max_cost_usd holds over sessions, under concurrency, with random answers and failures."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import evalharness as package
from evalharness.pricing import PriceBook
from evalharness.pricing.price_files import parse_prices
from evalharness.runner.budget import earlier_spend
from evalharness.store.folder.run import Run
from tests.cli.conftest import Command
from tests.cli.emulated_provider import EMULATOR_PRICE, ledger


def _book(**rates: str) -> PriceBook:
    table = {"prices": [{"model": "qwen*", "price_usd_per_mtok": rates}]}
    return PriceBook([parse_prices(table, "test", table="test")])


# As EMULATOR_PRICE has it.
_EMULATOR = _book(prompt="0.4", cached="0.16", completion="1.2", reasoning="4")


CAP, RAISED = Decimal("0.006"), Decimal("0.015")


def test_a_budget_holds_under_concurrency_and_over_sessions(
    evalharness: Command, prompts: Path, tmp_path: Path
) -> None:
    """64 at once, answers of any length, failures and doubt: the true bill never passes the cap.

    The emulator's own ledger is the truth. The second session has a raised cap and counts what the
    first one spent.
    """
    truth = tmp_path / "truth.jsonl"
    arguments = [
        "run", "provider=emulator", f"dataset.path={prompts}", "dataset=file", "name=b",
        "sweep=none", "+sweep.temperature=[0.8,1.4]", "scoring=none", "repeats=10",
        "params.max_tokens=150", "limits.concurrency=64", "limits.max_attempts=4",
        EMULATOR_PRICE, f"provider.emulator.ledger={truth}", "provider.emulator.in_doubt=0.04",
        "provider.emulator.error_rate=0.05", "provider.emulator.itl_ms=0.2",
    ]  # fmt: skip
    first = evalharness(*arguments, f"limits.max_cost_usd={CAP}")
    assert first.returncode == 4, first.stderr
    bill = _bill(truth)
    assert bill <= CAP
    run = package.load(tmp_path / "results" / "b")
    assert 0 < len(run.records()) < 480
    before = earlier_spend(Run.open(run.root), _EMULATOR)
    # It stopped because nothing more could be promised, not long before.
    worst = max(r for r in run.attempts()["reserved_usd"] if r is not None)
    assert before.spent + before.in_doubt > CAP - worst
    assert before.spent + before.in_doubt >= bill
    second = evalharness(*arguments, f"limits.max_cost_usd={RAISED}")
    assert second.returncode == 4, second.stderr
    assert bill < _bill(truth) <= RAISED
    last = evalharness(*arguments, "limits.max_cost_usd=5")
    assert last.returncode in (0, 1), last.stderr
    records = package.load(tmp_path / "results" / "b").records()
    assert len(records) == 480
    assert not records["trial_id"].duplicated().any()


def _bill(truth: Path) -> Decimal:
    return sum((Decimal(str(row["billed_usd"])) for row in ledger(truth)), Decimal(0))
