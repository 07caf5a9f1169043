"""``limits.max_cost_usd``: what earlier sessions spent, and limits that could not hold."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from evalharness.config.models import DatasetConfig, ProviderConfig, RunConfig
from evalharness.errors import ConfigError
from evalharness.planning.build import build_plan
from evalharness.pricing import PriceBook
from evalharness.pricing.price_files import parse_prices
from evalharness.records import AttemptResult, Intent, Outcome, Reply, Status, Usage
from evalharness.runner.budget import check_bounded, earlier_spend
from evalharness.store.folder.run import Run
from evalharness.store.folder.writer import RunStore


def _book(**rates: str) -> PriceBook:
    table = {"prices": [{"model": "qwen*", "price_usd_per_mtok": rates}]}
    return PriceBook([parse_prices(table, "test", table="test")])


_BOOK = _book(prompt="1", completion="2")


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
        found = earlier_spend(Run.open(root), _BOOK)
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
