"""``limits.max_cost_usd``: what earlier sessions spent, and limits that could not hold."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from evalharness.config.models import DatasetConfig, Profile, ProviderConfig, RunConfig
from evalharness.errors import ConfigError
from evalharness.planning.build import build_plan
from evalharness.planning.estimate.estimate import estimate_plan, remaining_trials
from evalharness.planning.estimate.output_tokens import COLUMNS, recorded_output_tokens
from evalharness.planning.estimate.worst_case import worst_case
from evalharness.pricing import PriceBook
from evalharness.pricing.batch_price import batch_price
from evalharness.pricing.price_files import parse_prices
from evalharness.records import AttemptResult, Intent, Outcome, Reply, Status, Usage
from evalharness.runner.budget import RunBudget, check_bounded, earlier_spend
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


async def test_either_output_limit_is_the_worst_case(prompts: Path) -> None:
    """The worst case of a request is the same whichever name its limit has."""
    worst = set[Decimal | None]()
    for params in ({"max_tokens": 50}, {"max_completion_tokens": 50}):
        plan = _plan(prompts, **params)
        trial = next(iter(plan.trials()))
        prices = {trial.setting.setting_id: _BOOK.find("", trial.setting.model)}
        worst.add(RunBudget(Decimal(1), prices).worst_case(trial, b"x" * 100))
    assert worst == {Decimal("0.0002")}


async def test_requests_in_batches_are_reserved_and_settled_at_their_own_price(
    prompts: Path,
) -> None:
    """Those sent alone in the same run are not; a batch price that is missing refuses the limit."""
    plan = _plan(prompts, max_tokens=50)
    trial = next(iter(plan.trials()))
    name, price = trial.setting.setting_id, _BOOK.find("", trial.setting.model)
    assert price is not None
    half = batch_price(price, 0.5)
    budget = RunBudget(Decimal(1), {name: price}, batch_prices={name: half})
    worst = budget.worst_case(trial, b"x" * 100)
    assert worst is not None
    assert budget.worst_case(trial, b"x" * 100, in_batch=True) == worst / 2
    usage = Usage(prompt_tokens=100, completion_tokens=50)
    reply = Reply(outcome=Outcome.DELIVERED, status=Status.OK, text="x", usage=usage)
    for key in ("a", "b"):
        assert budget.reserve(key, worst, model="qwen-plus")
    paid = budget.settle("a", trial, reply)
    assert paid is not None
    assert budget.settle("b", trial, reply, in_batch=True) == paid / 2
    with pytest.raises(ConfigError, match="in batches is unknown") as caught:
        check_bounded(plan.settings, {name: None}, _BOOK, in_batch=True)
    assert "batch_discount" in (caught.value.hint or "")


def test_a_limit_that_could_not_hold_is_refused_before_anything_is_sent(prompts: Path) -> None:
    """Without a price, or with a price and no max_tokens, a limit is only a wish."""
    unbounded, bounded = _plan(prompts), _plan(prompts, max_tokens=5)
    ids = {
        s.setting_id: _BOOK.find(s.provider, s.model)
        for s in (*unbounded.settings, *bounded.settings)
    }
    check_bounded(bounded.settings, ids, _BOOK)
    for setting in _plan(prompts, max_completion_tokens=5).settings:
        check_bounded([setting], {setting.setting_id: _BOOK.find("", setting.model)}, _BOOK)
    with pytest.raises(ConfigError, match="how long an answer") as caught:
        check_bounded(unbounded.settings, ids, _BOOK)
    assert "params.max_tokens" in (caught.value.hint or "")
    with pytest.raises(ConfigError, match="price of qwen-plus"):
        check_bounded(bounded.settings, {}, _BOOK)


_APART = Usage(prompt_tokens=100, completion_tokens=50, total_tokens=400, reasoning_tokens=250)
# 100 · 1 + 300 · 2 millionths: the reasoning counted besides, as the total says.
_HIGHER = Decimal("0.0007")


async def test_usage_that_contradicts_its_total_counts_at_its_higher_reading(
    prompts: Path, tmp_path: Path
) -> None:
    """In this session and the next: neither the lower reading nor a smaller reservation."""
    plan = _plan(prompts, max_tokens=50)
    trial = next(iter(plan.trials()))
    reply = Reply(outcome=Outcome.DELIVERED, status=Status.OK, text="x", usage=_APART)
    price = _BOOK.find(None, "qwen-plus")
    assert price is not None
    assert price.cost(_APART) is None
    budget = RunBudget(Decimal(1), {trial.setting.setting_id: price})
    assert budget.reserve("k", Decimal("0.0002"), model="qwen-plus")
    assert budget.settle("k", trial, reply) == _HIGHER
    assert budget.committed_usd == _HIGHER
    store = RunStore(tmp_path / "m", code_version="0")
    store.save_plan(
        config_yaml="", prompts=plan.prompts, digests=plan.digests, settings=plan.settings,
        planned=len(plan),
    )  # fmt: skip
    store.start()
    await store.append(_attempt(trial, 1, reply, reserved=Decimal("0.0002")))
    await store.seal()
    store.close()
    spend = earlier_spend(Run.open(tmp_path / "m"), _BOOK)
    assert spend == (_HIGHER, Decimal(0), 0)


def _image_plan(folder: Path, **part_tokens: int) -> Any:
    part = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    row = {"id": "a", "messages": [{"role": "user", "content": [part]}]}
    (folder / "images.jsonl").write_text(json.dumps(row) + "\n")
    config = RunConfig(
        name="m",
        provider=ProviderConfig(
            kind="emulator", name="emulator", model="qwen-plus",
            profile=Profile(part_tokens=part_tokens),
        ),
        dataset=DatasetConfig(path="images.jsonl"),
        params={"max_tokens": 10},
        repeats=2,
    )  # fmt: skip
    return build_plan([config], {"emulator": "emulator"}, root=folder)


def test_a_limit_over_images_needs_to_know_what_they_become(tmp_path: Path) -> None:
    """Unknown: refused before anything is sent. Stated by the profile: part of the worst case."""
    plan = _image_plan(tmp_path)
    prices = {s.setting_id: _BOOK.find("", s.model) for s in plan.settings}
    with pytest.raises(ConfigError, match=r"image_url of images\.jsonl:1") as caught:
        check_bounded(plan.settings, prices, _BOOK, prompts=plan.prompts)
    assert "provider.profile.part_tokens.image_url=N" in str(caught.value.hint)
    known = {"emulator": {"image_url": 1000}}
    check_bounded(plan.settings, prices, _BOOK, prompts=plan.prompts, part_tokens=known)
    trial = next(iter(plan.trials()))
    body = plan.body(trial)
    worst = RunBudget(Decimal(1), prices, part_tokens=known).worst_case(trial, body)
    assert worst is not None
    assert Decimal("0.00102") < worst < Decimal("0.00102") + len(body) * Decimal("0.000001")
    with pytest.raises(ConfigError, match="how many tokens the image_url"):
        RunBudget(Decimal(1), prices).worst_case(trial, body)
    assert RunBudget(None, prices).worst_case(trial, body) is None


def test_an_estimate_of_images_is_unknown_or_of_what_the_profile_states(tmp_path: Path) -> None:
    """Only the lower end is known, unless the most that an image becomes is stated."""
    for plan, known in (
        (_image_plan(tmp_path), False),
        (_image_plan(tmp_path, image_url=1000), True),
    ):
        nothing = recorded_output_tokens(plan, pa.table({name: [] for name in COLUMNS}))
        estimate = estimate_plan(
            plan, np.zeros(len(plan), np.bool_), lambda s: _BOOK.find("", s.model), {}, nothing,
            max_in_flight=1,
        )  # fmt: skip
        tokens, cost = estimate.prompt_tokens, estimate.cost_usd
        assert cost is not None
        assert (estimate.models[0].basis == "unknown") is not known
        worst = worst_case(
            plan,
            remaining_trials(plan, np.zeros(len(plan), np.bool_)),
            lambda s: _BOOK.find("", s.model),
        )
        if known:
            assert tokens.high is not None
            assert 2000 < tokens.high < 2100
            assert cost.high is not None
            assert worst is not None
        else:
            assert (tokens.expected, tokens.high, cost.high, worst) == (None, None, None, None)
