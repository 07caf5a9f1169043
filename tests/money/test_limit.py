"""limits.max_cost_usd holds: over sessions, under concurrency, with random answers and failures."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import evalharness as package
from evalharness.config.models import DatasetConfig, ProviderConfig, RunConfig
from evalharness.errors import ConfigError
from evalharness.planning.plan import build_plan
from evalharness.pricing import PriceBook
from evalharness.pricing.price_files import parse_prices
from evalharness.records import AttemptResult, Intent, Outcome, Reply, Status, Usage
from evalharness.runner.budget import check_bounded, spent_before
from evalharness.store.folder.run import Run
from evalharness.store.folder.writer import RunStore
from tests.money.conftest import EMULATOR_PRICE, Command, ledger


def _book(**rates: str) -> PriceBook:
    table = {"prices": [{"model": "qwen*", "price_usd_per_mtok": rates}]}
    return PriceBook([parse_prices(table, "test", table="test")])


_BOOK = _book(prompt="1", completion="2")
# As EMULATOR_PRICE has it.
_EMULATOR = _book(prompt="0.4", cached="0.16", completion="1.2", reasoning="4")


def _plan(prompts: Path, **params: Any) -> Any:
    config = RunConfig(
        name="m",
        provider=ProviderConfig(kind="emulator", name="emulator", model="qwen-plus"),
        dataset=DatasetConfig(path=str(prompts)),
        params=params,
    )
    return build_plan([config], {"emulator": "emulator"}, root=prompts.parent)


def _attempt(trial: Any, number: int, reply: Reply, **more: Any) -> AttemptResult:
    intent = Intent(
        trial.trial_id, trial.prompt.prompt_id, trial.setting.setting_id, trial.repeat,
        trial.position, number, f"evh-{trial.trial_id}.{number}", 1, 1, more.pop("reserved", None),
    )  # fmt: skip
    return AttemptResult(intent, reply, more.pop("final", True), 0, 0.0, **more)


async def test_what_earlier_sessions_spent_is_added_up(prompts: Path, tmp_path: Path) -> None:
    """Bill, else price of the usage, else the reservation; doubt apart; a lost intent included."""
    plan = _plan(prompts, max_tokens=10)
    trials = list(plan.trials())
    root = tmp_path / "m"
    store = RunStore(root, code_version="0")
    store.save_plan(
        config_yaml="", prompts=plan.prompts, digests=plan.digests, settings=plan.settings,
        planned=len(plan),
    )  # fmt: skip
    store.start()
    done = Reply(outcome=Outcome.DELIVERED, status=Status.OK, text="x")
    rejected = Reply(outcome=Outcome.REJECTED, status=Status.ERROR, http_status=429)
    doubtful = Reply(outcome=Outcome.IN_DOUBT, status=Status.ERROR)
    usage = Usage(prompt_tokens=100, completion_tokens=50)
    for value in (
        _attempt(trials[0], 1, _with(done, billed_usd=Decimal("0.5"))),  # the bill
        _attempt(trials[1], 1, _with(done, usage=usage)),  # 100·1 + 50·2 millionths
        _attempt(trials[2], 1, done, reserved=Decimal("0.003")),  # neither: the worst case
        _attempt(trials[3], 1, rejected, final=False, reserved=Decimal(7)),  # costs nothing
        _attempt(trials[3], 2, doubtful, final=False, reserved=Decimal("0.04")),
        _attempt(trials[4], 1, done),  # nothing known at all
    ):
        await store.append(value)
    await store.seal()  # finished trials are in a part now, the others in the journal
    lost = _attempt(trials[5], 1, doubtful, reserved=Decimal("0.2")).intent
    await store.append(lost)  # sent, and then the process died
    store.close()
    again = RunStore(root, code_version="0")
    try:
        found = spent_before(Run.open(root), _BOOK)
    finally:
        again.close()
    assert found.spent == Decimal("0.5") + Decimal("0.0002") + Decimal("0.003")
    assert found.in_doubt == Decimal("0.04") + Decimal("0.2")
    assert found.unknown == 1


def _with(reply: Reply, **changes: Any) -> Reply:
    from msgspec import structs

    return structs.replace(reply, **changes)


def test_a_limit_that_could_not_hold_is_refused_before_anything_is_sent(prompts: Path) -> None:
    """Without a price, or with a price and no max_tokens, a limit is only a wish."""
    unbounded, bounded = _plan(prompts), _plan(prompts, max_tokens=5)
    ids = {
        s.setting_id: _BOOK.find(s.provider, s.model)
        for s in (*unbounded.settings, *bounded.settings)
    }
    check_bounded(bounded.settings, ids, _BOOK)
    with pytest.raises(ConfigError, match="how long an answer") as caught:
        check_bounded(unbounded.settings, ids, _BOOK)
    assert "params.max_tokens" in (caught.value.hint or "")
    with pytest.raises(ConfigError, match="price of qwen-plus"):
        check_bounded(bounded.settings, {}, _BOOK)


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
    before = spent_before(Run.open(run.root), _EMULATOR)
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
