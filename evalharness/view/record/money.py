"""What a record and its attempts cost, with the arithmetic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from evalharness.pricing.attempts import UNSERVED, AttemptCosts
from evalharness.pricing.book import PriceBook
from evalharness.pricing.cost_steps import CostStep, cost_steps
from evalharness.pricing.price import Price, to_usd, usd_text
from evalharness.records import Usage
from evalharness.report.words.unknown_cost_text import unknown_reasons_text

if TYPE_CHECKING:
    import pyarrow as pa


_OUTCOME = ["outcome", "billed_usd"]
_UNSERVED = (
    "a request that was refused or never sent costs nothing. It reports no tokens: reports count "
    "the cost of such a record as unknown"
)


class RecordCost(NamedTuple):
    """The cost of a record.

    Attributes:
        steps: tokens × price of each kind, as texts.
        fee: of the request; None without one.
        total: as a text; None where it is unknown.
        why: where the total comes from, or why it is unknown.
        notes: more that is known of price and bill.
    """

    steps: list[tuple[str, str, str, str]]
    fee: str | None
    total: str | None
    why: str
    notes: list[str]


def record_cost(
    row: Mapping[str, Any], book: PriceBook, attempts: Sequence[Mapping[str, Any]] = ()
) -> RecordCost:
    """The arithmetic of a record's cost by the current prices; a cost of an import is as it came.

    Args:
        row: the record, its instants in nanoseconds.
        book: the prices.
        attempts: of the record; empty where the run keeps none.
    """
    billed: Decimal | None = row["billed_usd"]
    imported: Decimal | None = row["cost_usd_imported"]
    if imported is not None:
        return RecordCost([], None, usd_text(imported), "came with the import", _bill(billed, None))
    price = _price(row, book)
    steps = cost_steps(price, _usage(row))
    if price is None and billed is not None:
        return RecordCost([], None, usd_text(billed), "the provider's bill: no price is known", [])
    if steps.total_usd is None and billed is None and attempts and all(map(_is_unserved, attempts)):
        return RecordCost([], None, "$0 by rule", _UNSERVED, [])
    if steps.total_usd is None:
        why = unknown_reasons_text({str(steps.unknown): 1})
        if price is None and row["batch_id"] is not None:
            why += " of requests in batches"
        return RecordCost([], None, None, why, [*_price_notes(price, row), *_bill(billed, None)])
    notes = _price_notes(price, row)
    if steps.by_rule:
        notes.append("the provider's usage_rule says which counts include which")
    return RecordCost(
        steps=[_step(step) for step in steps.steps],
        fee=usd_text(steps.fee_usd) if steps.fee_usd else None,
        total=usd_text(steps.total_usd),
        why="tokens times price",
        notes=[*notes, *_bill(billed, steps.total_usd)],
    )


def attempt_costs(
    attempts: pa.Table, models: Mapping[str, tuple[str | None, str | None]], book: PriceBook
) -> list[str]:
    """What each attempt cost, or may have cost at most.

    Args:
        attempts: of one trial.
        models: setting_id → provider and model.
        book: the prices.
    """
    costs = AttemptCosts(attempts, models, book)
    known: Sequence[bool] = costs.known.tolist()
    reserved: Sequence[bool] = costs.reserved_known.tolist()
    unserved = [_is_unserved(row) for row in attempts.select(_OUTCOME).to_pylist()]
    return [
        "$0 by rule"
        if unserved[row]
        else usd_text(to_usd(int(costs.pico[row])))
        if known[row]
        else (f"unknown, at most {usd_text(to_usd(int(costs.reserved[row])))}")
        if reserved[row]
        else "unknown"
        for row in range(len(known))
    ]


def _is_unserved(attempt: Mapping[str, Any]) -> bool:
    """Whether an attempt costs nothing by rule: no work was done, and nothing was billed."""
    return attempt["outcome"] in UNSERVED and attempt["billed_usd"] is None


def _price(row: Mapping[str, Any], book: PriceBook) -> Price | None:
    if row["model"] is None:
        return None
    sent_at: int | None = row["sent_at"]
    day = None if sent_at is None else datetime.fromtimestamp(sent_at / 1e9, UTC).date()
    return book.find(row["provider"], row["model"], day, in_batch=row["batch_id"] is not None)


def _usage(row: Mapping[str, Any]) -> Usage:
    return Usage(**{name: row[name] for name in Usage.__struct_fields__})


def _step(step: CostStep) -> tuple[str, str, str, str]:
    return (
        step.kind,
        f"{step.tokens:,}",
        f"{usd_text(step.usd_per_mtok)} per million",
        usd_text(step.usd),
    )


def _price_notes(price: Price | None, row: Mapping[str, Any]) -> list[str]:
    if price is None:
        return []
    dates = [
        *([] if price.valid_from is None else [f"valid from {price.valid_from}"]),
        *([] if price.as_of is None else [f"read on {price.as_of}"]),
    ]
    whose = f" of {price.provider}" if price.provider else ""
    models = f"all models{whose}" if price.model == "*" else price.model
    models += "" if price.batch_basis is None else " in batches"
    notes = [f"price of {models}: {', '.join([price.table, *dates])}"]
    if price.batch_basis is not None:
        notes.append(f"a batch's price: {price.batch_basis}")
    above = [tier.above_prompt_tokens for tier in price.tiers]
    passed = [tokens for tokens in above if (row["prompt_tokens"] or 0) > tokens]
    if passed:
        notes.append(f"the rates of requests with more than {max(passed):,} prompt tokens")
    return notes


def _bill(billed: Decimal | None, computed: Decimal | None) -> list[str]:
    if billed is None:
        return []
    if computed is None:
        return [f"the provider billed {usd_text(billed)}"]
    if billed == computed:
        return [f"the provider billed the same, {usd_text(billed)}"]
    more = "more" if billed > computed else "less"
    return [f"the provider billed {usd_text(billed)}: {usd_text(abs(billed - computed))} {more}"]
