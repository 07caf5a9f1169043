"""A table of records costs what its rows cost, exactly."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from evalharness.columnar.record_store import RecordStore
from evalharness.pricing import Price, PriceBook, PriceRates, PriceTier
from evalharness.pricing.cost_columns import cost_columns
from evalharness.records import Usage
from evalharness.report.build.money import prices_used
from evalharness.schema import arrow_schema

OLD = Price(model="m", provider="p", rates=PriceRates(prompt=Decimal(1), completion=Decimal(2)))
NEW = Price(
    model="m",
    provider="p",
    valid_from=date(2026, 6, 1),
    rates=PriceRates(
        prompt=Decimal("0.4"),
        cached=Decimal("0.08"),
        completion=Decimal("1.2"),
        reasoning=Decimal(4),
    ),
    tiers=(
        PriceTier(
            above_prompt_tokens=1000,
            rates=PriceRates(prompt=Decimal("0.000001"), completion=Decimal(3)),
        ),
    ),
    per_request_usd=Decimal("0.000000000001"),
)
FREE = Price(
    model="*", provider="local", rates=PriceRates(prompt=Decimal(0), completion=Decimal(0))
)
BOOK = PriceBook([[OLD, NEW, FREE]])

NAMES = (
    "setting_id", "provider", "model", "status", "sent_at", "prompt_tokens", "completion_tokens",
    "cached_tokens", "reasoning_tokens", "audio_prompt_tokens", "audio_completion_tokens",
    "billed_usd", "cost_usd_imported",
)  # fmt: skip
SCHEMA = pa.schema([arrow_schema("records").field(name).with_nullable(True) for name in NAMES])


def table_of(*rows: dict) -> pa.Table:
    base = {
        "setting_id": "s", "provider": "p", "model": "m", "status": "ok",
        "sent_at": datetime(2026, 7, 1, tzinfo=UTC),
    }  # fmt: skip
    return pa.Table.from_pylist([{**base, **row} for row in rows], schema=SCHEMA)


def records(*rows: dict) -> RecordStore:
    return RecordStore.of_table(table_of(*rows))


def tokens(prompt, completion, cached=0, reasoning=0) -> dict:
    return {
        "prompt_tokens": prompt, "completion_tokens": completion, "cached_tokens": cached,
        "reasoning_tokens": reasoning,
    }  # fmt: skip


count = st.none() | st.integers(0, 3000) | st.sampled_from([2**53, -1, 10**8])
row = st.fixed_dictionaries(
    {
        "setting_id": st.sampled_from(["a", "b", "c"]),
        "provider": st.sampled_from(["p", "local", "unknown", None]),
        "model": st.sampled_from(["m", "other", None]),
        "status": st.sampled_from(["ok", "error"]),
        "sent_at": st.sampled_from([
            None, datetime(2026, 5, 31, 23, 59, 59, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC),
        ]),
        "prompt_tokens": count, "completion_tokens": count, "cached_tokens": count,
        "reasoning_tokens": count,
        "audio_prompt_tokens": st.sampled_from([None, None, 0, 1]),
        "billed_usd": st.none() | st.decimals(0, 10**11, places=12),
    }
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(row, max_size=12))
def test_table_equals_rows(rows):
    """Vectorised costs are the costs of the rows one by one; totals are their exact sums."""
    at = date(2026, 6, 15)
    costs = cost_columns(records(*rows), BOOK, at=at)
    expected: dict[str, list[Decimal]] = {}
    for index, values in enumerate(rows):
        day = at if values["sent_at"] is None else values["sent_at"].date()
        price = values["model"] and BOOK.find(values["provider"], values["model"], day)
        usage = Usage(
            prompt_tokens=values["prompt_tokens"], completion_tokens=values["completion_tokens"],
            cached_tokens=values["cached_tokens"], reasoning_tokens=values["reasoning_tokens"],
            audio_prompt_tokens=values["audio_prompt_tokens"],
        )  # fmt: skip
        cost = price.cost(usage) if price else None
        bill = values["billed_usd"]
        if (not price or values["audio_prompt_tokens"]) and cost is None:
            # Where there is no price, the bill is the cost; no request costs 2**62 pico-dollars.
            cost = bill if bill is not None and bill * 10**12 < 2**62 else None
        if cost is None:
            assert np.isnan(costs.cost_usd[index])
        else:
            assert costs.cost_usd[index] == float(cost)
            assert index not in costs.estimated_rows
            expected.setdefault(values["setting_id"], []).append(cost)
        if values["status"] == "error" or not price:
            assert index not in costs.estimated_rows
    for name, setting in costs.settings.items():
        mine = [r for r in rows if r["setting_id"] == name]
        known = expected.get(name, [])
        assert (setting.rows, setting.known) == (len(mine), len(known))
        assert setting.known + setting.unknown == len(mine)
        assert setting.total_usd == (sum(known) if known else None)
        billed = [r["billed_usd"] for r in mine if r["billed_usd"] is not None]
        assert setting.billed_total_usd == (sum(billed) if billed else None)


def test_totals_are_exact_where_floats_are_not():
    """A million pico-dollars beside a million dollars stays in the total."""
    rows = [tokens(100_000_000, 0) | {"sent_at": datetime(2026, 1, 1, tzinfo=UTC)}] * 50_000
    rows += [tokens(1001, 0)]  # 1001 tokens at a pico-dollar, and a pico-dollar of fee
    [setting] = cost_columns(records(*rows), BOOK).settings.values()
    assert setting.total_usd == Decimal("5000000.000000001002")


def test_estimates_stay_out_of_totals():
    """Incomplete usage gives a flagged estimate beside the total, errors give nothing."""
    rows = [
        tokens(100, 10),  # 40 + 12 millionths, and the fee
        tokens(100, 10, cached=None),  # as if nothing were cached
        tokens(None, None),  # the mean of the known
        tokens(None, None) | {"status": "error"},
    ]
    costs = cost_columns(records(*rows), BOOK)
    assert costs.estimated_rows.tolist() == [1, 2]
    assert np.isnan(costs.cost_usd).tolist() == [False, True, True, True]
    assert costs.estimated_rows_pico.tolist() == [52_000_001] * 2
    [setting] = costs.settings.values()
    assert setting.total_usd == Decimal("0.000052000001")
    assert (setting.known, setting.estimated) == (1, 2)
    assert setting.estimate_usd == Decimal("0.000104000002")


def test_billed_beside_computed():
    """The difference to what was billed is taken over the rows that have both."""
    rows = [
        tokens(100, 10) | {"billed_usd": Decimal("0.00006")},
        tokens(100, 10),
        tokens(None, None) | {"billed_usd": Decimal("0.5")},
    ]
    [setting] = cost_columns(records(*rows), BOOK).settings.values()
    assert (setting.billed_rows, setting.billed_total_usd) == (2, Decimal("0.50006"))
    assert (setting.compared, setting.difference_usd) == (1, Decimal("-0.000007999999"))


def test_no_price_is_null_and_named():
    """Rows without a price have no cost, and are counted and named; free ones cost 0."""
    rows = [tokens(1, 1) | {"model": "x"}, {"provider": "local", "model": "y", "setting_id": "t"}]
    costs = cost_columns(records(*rows), BOOK)
    assert costs.unpriced == [("p", "x")]
    assert (costs.settings["s"].total_usd, costs.settings["s"].unpriced) == (None, 1)
    assert (costs.settings["t"].total_usd, costs.settings["t"].unpriced) == (Decimal(0), 0)
    assert costs.prices == [FREE]


def test_imported_costs_are_taken_as_they_are():
    """A cost that came with an import stands, also where no price is known."""
    rows = [
        tokens(100, 10) | {"cost_usd_imported": Decimal("0.25")},
        {"cost_usd_imported": Decimal("0.5"), "model": None},
    ]
    [setting] = cost_columns(records(*rows), BOOK).settings.values()
    assert (setting.total_usd, setting.known, setting.unpriced) == (Decimal("0.75"), 2, 0)


def test_sliced_and_empty_tables():
    """Views into larger tables, chunked tables and tables without rows are read right."""
    table = table_of(
        *[tokens(i, 0) | {"billed_usd": Decimal(i), "setting_id": f"s{i}"} for i in range(9)]
    )
    part = pa.concat_tables([table.slice(3, 2), table.slice(7, 1)])
    settings_ = cost_columns(RecordStore.of_table(part), BOOK).settings
    assert {n: s.billed_total_usd for n, s in settings_.items()} == {"s3": 3, "s4": 4, "s7": 7}
    assert cost_columns(records(), BOOK).settings == {}


def test_a_report_names_sources_and_amounts():
    """What a report says about prices: table, date, source, gaps, exact dollars."""
    rows = [tokens(100, 10), tokens(1, 1) | {"model": "x"}]
    prices = prices_used(cost_columns(records(*rows), BOOK), BOOK)
    entry = prices.used[0]
    assert (entry.provider, entry.model, entry.table) == ("p", "m", "override")
    assert (entry.as_of, entry.valid_from, entry.source) == (None, date(2026, 6, 1), None)
    assert [(row.provider, row.model) for row in prices.unpriced] == [("p", "x")]
    assert prices.settings["s"].total_usd == Decimal("0.000052000001")


def test_reasons_of_an_unknown_cost():
    """Each record of unknown cost counts once: no price, a missing count, or impossible counts."""
    rows = [
        tokens(100, 10),
        tokens(1, 1) | {"model": "x"},  # no price of the model
        tokens(1, 1) | {"audio_prompt_tokens": 1},  # none of its audio tokens
        tokens(None, 10),
        tokens(100, 10, cached=None),  # cached tokens have a price of their own
        tokens(1001, 10, cached=None),  # not so in this tier
        tokens(None, None) | {"status": "error"},
        tokens(10, 10, cached=11),
        tokens(10, -1),
    ]
    [setting] = cost_columns(records(*rows), BOOK).settings.values()
    assert setting.unknown_reasons == {"no_price": 2, "count_missing": 3, "usage_contradicts": 2}
    assert (setting.known, setting.unknown, setting.delivered_unknown) == (2, 7, 6)
