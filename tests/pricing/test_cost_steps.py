"""The arithmetic that is shown is the arithmetic that is done."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from evalharness.pricing.cost_formula import COUNT_MISSING, NO_PRICE, REASONS, USAGE_CONTRADICTS
from evalharness.pricing.cost_steps import cost_steps
from evalharness.pricing.price import Price, PriceRates, PriceTier
from evalharness.records import Usage

RATES = st.builds(
    PriceRates,
    prompt=st.integers(0, 10**7).map(lambda n: Decimal(n) / 10**4),
    completion=st.integers(0, 10**7).map(lambda n: Decimal(n) / 10**4),
    cached=st.none() | st.just(Decimal("0.07")),
    cache_write=st.none() | st.just(Decimal("3.75")),
    cache_write_1h=st.none() | st.just(Decimal(6)),
    reasoning=st.none() | st.just(Decimal(9)),
)
PRICES = st.builds(
    Price,
    model=st.just("m"),
    rates=RATES,
    tiers=st.lists(
        st.builds(PriceTier, above_prompt_tokens=st.just(100), rates=RATES), max_size=1
    ).map(tuple),
    per_request_usd=st.sampled_from([Decimal(0), Decimal("0.005")]),
    usage_rule=st.sampled_from([None, "cache_outside", "reasoning_outside"]),
)
COUNTS = st.none() | st.integers(0, 200)
USAGES = st.builds(
    Usage,
    prompt_tokens=COUNTS,
    completion_tokens=COUNTS,
    total_tokens=st.none() | st.integers(0, 500),
    cached_tokens=st.none() | st.integers(0, 50),
    cache_write_tokens=st.none() | st.integers(0, 50),
    cache_write_1h_tokens=st.none() | st.integers(0, 50),
    reasoning_tokens=st.none() | st.integers(0, 50),
    audio_prompt_tokens=st.sampled_from([None, None, 1]),
)


@given(PRICES, USAGES)
def test_steps_sum_to_the_cost(price: Price, usage: Usage) -> None:
    """To the last digit; and where the cost is unknown, there is a reason."""
    steps = cost_steps(price, usage)
    assert steps.total_usd == price.cost(usage)
    if steps.total_usd is None:
        assert steps.unknown in REASONS
        assert steps.steps == []
        return
    assert steps.unknown is None
    assert sum((step.usd for step in steps.steps), steps.fee_usd) == steps.total_usd
    for step in steps.steps:
        assert step.tokens * step.usd_per_mtok / 10**6 == step.usd


def test_why_it_is_unknown() -> None:
    price = Price(model="m", rates=PriceRates(prompt=Decimal(1), completion=Decimal(2)))
    assert cost_steps(None, Usage(1, 1)).unknown == NO_PRICE
    assert cost_steps(price, Usage(1, None)).unknown == COUNT_MISSING
    assert cost_steps(price, Usage(1, 1, 9)).unknown == USAGE_CONTRADICTS


def test_kinds_in_words() -> None:
    """Cached tokens are part of the prompt's, and billed once."""
    price = Price(
        model="m", rates=PriceRates(prompt=Decimal(1), completion=Decimal(2), cached=Decimal("0.5"))
    )
    steps = cost_steps(price, Usage(prompt_tokens=10, completion_tokens=3, cached_tokens=4))
    assert [(step.kind, step.tokens) for step in steps.steps] == [
        ("prompt", 6),
        ("read from a cache", 4),
        ("completion", 3),
    ]
    assert steps.total_usd == Decimal("0.000014")
