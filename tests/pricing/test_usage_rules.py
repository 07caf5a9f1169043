"""Usage that does not add up to its own total is billed by a rule, or has no known cost."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, get_args

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalharness.config.models import UsageRule
from evalharness.pricing import Price, PriceBook, PriceRates, PriceTier
from evalharness.pricing.row_costs import highest_row_costs, row_costs
from evalharness.records import Usage

RATES = PriceRates(
    prompt=Decimal(3), cached=Decimal("0.3"), cache_write=Decimal("3.75"), completion=Decimal(15)
)
PRICE = Price(model="m", rates=RATES)
# Above 2,000 prompt tokens everything costs twice as much.
TIERED = Price(
    model="m",
    rates=RATES,
    tiers=(
        PriceTier(
            above_prompt_tokens=2000,
            rates=PriceRates(
                prompt=Decimal(6), cached=Decimal("0.6"), cache_write=Decimal("7.5"),
                completion=Decimal(30),
            ),
        ),
    ),
)  # fmt: skip
RULES: list[UsageRule | None] = [None, *get_args(UsageRule)]


def _usage(prompt: int, completion: int, total: int | None, **more: int) -> Usage:
    counts = {"cached_tokens": 0, "cache_write_tokens": 0, "reasoning_tokens": 0} | more
    return Usage(prompt_tokens=prompt, completion_tokens=completion, total_tokens=total, **counts)


def _cost(usage: Usage, rule: UsageRule | None, price: Price = PRICE) -> Decimal | None:
    return msgspec.structs.replace(price, usage_rule=rule).cost(usage)


@pytest.mark.parametrize(
    ("counts", "rule", "millionths"),
    [
        # Adds up: nothing is added, whatever the rule.
        ((100, 40, 140, {"reasoning_tokens": 30}), None, 100 * 3 + 40 * 15),
        ((100, 40, 140, {"reasoning_tokens": 30}), "reasoning_outside", 100 * 3 + 40 * 15),
        ((100, 40, 140, {"cached_tokens": 30}), "cache_outside", 70 * 3 + 30 * 0.3 + 40 * 15),
        # The total holds the reasoning besides.
        ((100, 40, 170, {"reasoning_tokens": 30}), None, None),
        ((100, 40, 170, {"reasoning_tokens": 30}), "cache_outside", None),
        ((100, 40, 170, {"reasoning_tokens": 30}), "reasoning_outside", 100 * 3 + 70 * 15),
        ((100, 40, 640, {"reasoning_tokens": 500}), "reasoning_outside", 100 * 3 + 540 * 15),
        # It holds the cache besides.
        ((100, 40, 1140, {"cached_tokens": 900, "cache_write_tokens": 100}), None, None),
        ((100, 40, 1140, {"cached_tokens": 900, "cache_write_tokens": 100}), "cache_outside",
         100 * 3 + 900 * 0.3 + 100 * 3.75 + 40 * 15),
        ((100, 40, 1170, {"cached_tokens": 1000, "reasoning_tokens": 30}),
         "reasoning_and_cache_outside", 100 * 3 + 1000 * 0.3 + 70 * 15),
        # Tokens that are counted nowhere else.
        ((100, 40, 440, {}), "completion_is_rest", 100 * 3 + 340 * 15),
        ((100, 40, 120, {}), "completion_is_rest", None),  # the rest would be less than was said
        # A rule that does not make the parts the total settles nothing.
        ((100, 40, 171, {"reasoning_tokens": 30}), "reasoning_outside", None),
        # Without a total, the rule alone decides; without a rule the documented form.
        ((100, 40, None, {"reasoning_tokens": 30}), "reasoning_outside", 100 * 3 + 70 * 15),
        ((100, 40, None, {"reasoning_tokens": 30}), None, 100 * 3 + 40 * 15),
        ((100, 40, None, {"cached_tokens": 900}), None, None),  # more cached than prompt
        ((100, 40, None, {"cached_tokens": 900}), "cache_outside", 300 + 900 * 0.3 + 40 * 15),
        # Writing has its own price.
        ((100, 40, 140, {"cached_tokens": 50, "cache_write_tokens": 20}), None,
         30 * 3 + 50 * 0.3 + 20 * 3.75 + 40 * 15),
        ((100, 40, 140, {"cached_tokens": 90, "cache_write_tokens": 20}), None, None),
    ],
)  # fmt: skip
def test_rules(counts: Any, rule: UsageRule | None, millionths: float | None) -> None:
    """By hand, at 3, 0.3, 3.75 and 15 dollars a million."""
    prompt, completion, total, more = counts
    expected = None if millionths is None else pytest.approx(millionths / 10**6, abs=1e-15)
    cost = _cost(_usage(prompt, completion, total, **more), rule)
    assert (None if cost is None else float(cost)) == expected


def test_tokens_outside_count_for_the_tier() -> None:
    """A prompt that is long by its cache alone is billed at the tier of long prompts."""
    usage = _usage(100, 0, 2100, cached_tokens=2000)
    assert _cost(usage, "cache_outside", TIERED) == Decimal(100 * 6 + 1200) / 10**6


def test_the_money_limit_takes_the_highest_reading() -> None:
    """Where nobody knows what was billed, the limit counts the dearest reading at the dearest rate."""
    contradictory = _usage(100, 40, 170, reasoning_tokens=30)
    assert PRICE.highest_cost(contradictory) == Decimal(
        max(100 * 3.75 + 70 * 15, 130 * 3.75 + 40 * 15) / 10**6
    ).quantize(Decimal("1e-12"))
    cached = _usage(100, 40, None, cached_tokens=900)
    assert PRICE.highest_cost(cached) == Decimal("0.00435")  # 1000 at 3.75, 40 at 15
    plain = _usage(100, 40, 140)
    assert PRICE.highest_cost(plain) == PRICE.cost(plain)
    assert PRICE.highest_cost(Usage(prompt_tokens=5)) is None
    assert PRICE.highest_cost(_usage(1, 1, 10**15)) is None


count = st.integers(0, 3000)
usages = st.builds(
    _usage, count, count, st.none() | st.integers(0, 9000),
    cached_tokens=count, cache_write_tokens=count, reasoning_tokens=count,
)  # fmt: skip


@st.composite
def _readable(draw: st.DrawFn) -> Usage:
    """Usage whose total is one of the sums that a rule makes of it, or any."""
    usage = draw(usages)
    p, c, _, cached, reasoning, *_, written, _ = msgspec.structs.astuple(usage)
    sums = [
        p + c,
        p + c + reasoning,
        p + c + cached + written,
        p + c + cached + written + reasoning,
    ]
    total = draw(st.sampled_from([*sums, usage.total_tokens, None]))
    return msgspec.structs.replace(usage, total_tokens=total)


@settings(max_examples=200, deadline=None)
@given(_readable(), st.sampled_from([PRICE, TIERED]))
def test_the_highest_reading_is_no_less_than_any_rule_makes_of_it(
    usage: Usage, price: Price
) -> None:
    """Whatever rule turns out to be the provider's, the money limit had counted as much."""
    if price.cost(usage) is not None:
        return  # it adds up as documented
    highest = price.highest_cost(usage)
    assert highest is not None
    for rule in RULES:
        cost = _cost(usage, rule, price)
        assert cost is None or cost <= highest


@settings(max_examples=60, deadline=None)
@given(st.lists(_readable(), min_size=1, max_size=8), st.sampled_from(RULES))
def test_a_table_costs_what_its_rows_cost(rows: list[Usage], rule: UsageRule | None) -> None:
    """Arrays are priced as single requests are, under every rule."""
    book = PriceBook([[TIERED]], usage_rules={} if rule is None else {"p": rule})
    columns: dict[str, Any] = {
        name: pa.array([getattr(usage, name) for usage in rows], pa.int64())
        for name in Usage.__struct_fields__
    }
    table = pa.table({"provider": ["p"] * len(rows), "model": ["m"] * len(rows), **columns})
    pico, known = row_costs(table, book)
    highest, contradictory = highest_row_costs(table, book)
    price = book.find("p", "m")
    assert price is not None
    for index, usage in enumerate(rows):
        cost = price.cost(usage)
        assert known[index] == (cost is not None)
        assert pico[index] == (0 if cost is None else int(cost * 10**12))
        assert contradictory[index] == (cost is None)
        assert highest[index] == (0 if cost else int((price.highest_cost(usage) or 0) * 10**12))
    assert np.all(known != contradictory)


def test_a_missing_count_of_writes() -> None:
    """Who reports reading from a cache and no writing wrote nothing; who reports neither may have."""
    read_only = Usage(prompt_tokens=10, completion_tokens=1, cached_tokens=5, total_tokens=11)
    assert PRICE.cost(read_only) == Decimal("0.0000315")
    assert PRICE.cost(Usage(prompt_tokens=10, completion_tokens=1)) is None
    same_price = Price(model="m", rates=PriceRates(prompt=Decimal(1), completion=Decimal(1)))
    assert same_price.cost(Usage(prompt_tokens=10, completion_tokens=1)) == Decimal("0.000011")


def test_a_provider_that_states_its_bill_confirms_the_rule() -> None:
    """Counts and bill of one xAI answer as publicly reported: the rule gives the bill exactly."""
    price = Price(
        model="m",
        rates=PriceRates(
            prompt=Decimal("1.25"), cached=Decimal("0.2"), completion=Decimal("2.5")
        ),
    )  # fmt: skip
    usage = _usage(10_120, 1_499, 14_428, cached_tokens=128, reasoning_tokens=2_809)
    assert _cost(usage, "reasoning_outside", price) == Decimal(232_856_000) / 10**10
    assert _cost(usage, None, price) is None
