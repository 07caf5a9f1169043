"""Tokens written to a cache for an hour cost more than those for five minutes, or an unknown sum."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from evalharness.pricing import Price, PriceBook, PriceRates
from evalharness.pricing.cost_formula import COUNT_MISSING, NO_PRICE
from evalharness.pricing.cost_steps import cost_steps
from evalharness.pricing.price_files import read_prices
from evalharness.pricing.row_costs import row_costs, row_costs_at_full_price
from evalharness.records import Usage

RATES = PriceRates(
    prompt=Decimal(3),
    cached=Decimal("0.3"),
    cache_write=Decimal("3.75"),
    cache_write_1h=Decimal(6),
    completion=Decimal(15),
)
WITH_HOUR = Price(model="m", rates=RATES)
WITHOUT_HOUR = Price(
    model="m",
    rates=PriceRates(
        prompt=Decimal(3),
        cached=Decimal("0.3"),
        cache_write=Decimal("3.75"),
        completion=Decimal(15),
    ),
)
ONE_PRICE = Price(model="m", rates=PriceRates(prompt=Decimal(3), completion=Decimal(15)))
WRITTEN = Usage(
    prompt_tokens=1320,
    completion_tokens=50,
    cached_tokens=1000,
    cache_write_tokens=300,
    cache_write_1h_tokens=200,
    reasoning_tokens=0,
)
NOT_SPLIT = Usage(
    prompt_tokens=1320,
    completion_tokens=50,
    cached_tokens=1000,
    cache_write_tokens=300,
    reasoning_tokens=0,
)
NOTHING_WRITTEN = Usage(prompt_tokens=1320, completion_tokens=50, cached_tokens=0)


@pytest.mark.parametrize(
    ("price", "usage", "millionths"),
    [
        (WITH_HOUR, WRITTEN, 20 * 3 + 1000 * 0.3 + 100 * 3.75 + 200 * 6 + 50 * 15),
        (WITH_HOUR, NOT_SPLIT, None),  # for how long is not said, and makes a difference
        (WITH_HOUR, NOTHING_WRITTEN, 1320 * 3 + 50 * 15),
        (WITHOUT_HOUR, WRITTEN, None),  # what an hour costs is not known: it is not guessed
        (WITHOUT_HOUR, NOT_SPLIT, 20 * 3 + 1000 * 0.3 + 300 * 3.75 + 50 * 15),
        (ONE_PRICE, WRITTEN, 1320 * 3 + 50 * 15),
    ],
)
def test_cost(price: Price, usage: Usage, millionths: float | None) -> None:
    """By hand, of one request and of a table alike."""
    cost = price.cost(usage)
    assert (None if cost is None else float(cost * 10**6)) == (
        None if millionths is None else pytest.approx(millionths)
    )
    pico, known = row_costs(_table(usage), PriceBook([[price]]))
    assert known.tolist() == [cost is not None]
    assert pico.tolist() == [0 if cost is None else int(cost * 10**12)]


def _table(usage: Usage) -> pa.Table:
    counts = {
        name: pa.array([getattr(usage, name)], pa.int64()) for name in Usage.__struct_fields__
    }
    return pa.table({"provider": ["p"], "model": ["m"], **counts})


def test_steps_name_the_hour() -> None:
    steps = cost_steps(WITH_HOUR, WRITTEN)
    assert [(step.kind, step.tokens, step.usd_per_mtok) for step in steps.steps] == [
        ("prompt", 20, 3),
        ("read from a cache", 1000, Decimal("0.3")),
        ("written to a cache", 100, Decimal("3.75")),
        ("written to a cache for an hour", 200, 6),
        ("completion", 50, 15),
    ]
    assert cost_steps(WITHOUT_HOUR, WRITTEN).unknown == NO_PRICE
    assert cost_steps(WITH_HOUR, NOT_SPLIT).unknown == COUNT_MISSING


def test_run_without_the_column_costs_what_it_did() -> None:
    """Records of before it was counted, at a price that has no rate for it."""
    table = _table(NOT_SPLIT).drop_columns(["cache_write_1h_tokens"])
    pico, known = row_costs(table, PriceBook([[WITHOUT_HOUR]]))
    assert (pico.tolist(), known.tolist()) == ([2_235_000_000], [True])


def test_at_the_prompt_price_the_hour_has_none_of_its_own() -> None:
    book = PriceBook([[WITH_HOUR]])
    full = row_costs_at_full_price(_table(WRITTEN), book, ("cache_write",))
    assert full.pico.tolist() == [(320 * 3 + 300 + 50 * 15) * 10**6]


def test_price_file_names_it(tmp_path: Path) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text(
        "prices: [{model: m, price_usd_per_mtok: "
        "{prompt: 3, cached: 0.3, cache_write: 3.75, cache_write_1h: 6, completion: 15}}]"
    )
    assert [price.rates for price in read_prices(file)] == [RATES]


def test_money_limit_takes_the_dearest_write_or_knows_none() -> None:
    assert (WITH_HOUR.highest_cost(NOT_SPLIT) or 0) >= Decimal(1320 * 6 + 50 * 15) / 10**6
    assert WITHOUT_HOUR.highest_cost(WRITTEN) is None


def test_worst_case_counts_the_dearest_write() -> None:
    assert WITH_HOUR.worst_case(1000, 0) == Decimal("0.006")
