"""One request's cost is exact, by hand and by law."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalharness.pricing import Price, PriceRates, PriceTier
from evalharness.records import Usage

QWEN = Price(
    model="qwen-plus",
    rates=PriceRates(
        prompt=Decimal("0.4"),
        cached=Decimal("0.08"),
        completion=Decimal("1.2"),
        reasoning=Decimal(4),
    ),
    tiers=(
        PriceTier(
            above_prompt_tokens=256_000,
            rates=PriceRates(
                prompt=Decimal("1.2"),
                cached=Decimal("0.24"),
                completion=Decimal("3.6"),
                reasoning=Decimal(12),
            ),
        ),
    ),
)
PLAIN = Price(model="m", rates=PriceRates(prompt=Decimal("0.15"), completion=Decimal("0.6")))


def usage(prompt=None, completion=None, cached=None, reasoning=None, **more) -> Usage:
    return Usage(
        prompt_tokens=prompt, completion_tokens=completion, cached_tokens=cached,
        reasoning_tokens=reasoning, **more,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("price", "counts", "dollars"),
    [
        # 8 · 0.15 + 68 · 0.60 = 42 millionths
        (PLAIN, usage(8, 68), "0.000042"),
        # 1000 · 0.4 + 500 · 1.2 = 1000 millionths
        (QWEN, usage(1000, 500, 0, 0), "0.001"),
        # (1000−600) · 0.4 + 600 · 0.08 + (500−200) · 1.2 + 200 · 4 = 160 + 48 + 360 + 800
        (QWEN, usage(1000, 500, 600, 200), "0.001368"),
        # the last prompt token of the first tier: 256000 · 0.4 + 1 · 1.2
        (QWEN, usage(256_000, 1, 0, 0), "0.1024012"),
        # one more prices everything at the second tier: 256001 · 1.2 + 1 · 3.6
        (QWEN, usage(256_001, 1, 0, 0), "0.3072048"),
        # cached tokens count for the tier: 256001 · 0.24 + 10 · 12
        (QWEN, usage(256_001, 10, 256_001, 10), "0.06156024"),
        # one token at a millionth of a dollar a million is a pico-dollar
        (
            Price(model="m", rates=PriceRates(prompt=Decimal("0.000001"), completion=Decimal(0))),
            usage(1, 1),
            "1E-12",
        ),
        # a fee comes on top, also without tokens
        (
            Price(model="m", rates=PLAIN.rates, per_request_usd=Decimal("0.005")),
            usage(0, 0),
            "0.005",
        ),
    ],
)
def test_costs_by_hand(price, counts, dollars):
    """Tiers, caches, reasoning and fees give the figure worked out by hand, to the last digit."""
    assert price.cost(counts) == Decimal(dollars)


@pytest.mark.parametrize(
    ("price", "counts"),
    [
        (PLAIN, usage(8, None)),
        (PLAIN, usage(None, 8)),
        (PLAIN, Usage(total_tokens=16)),
        (QWEN, usage(8, 8, None, 0)),  # cached tokens would cost less, and nobody says how many
        (QWEN, usage(8, 8, 0, None)),
        (PLAIN, usage(8, 8, 9, 0)),  # more cached than there are
        (PLAIN, usage(8, 8, 0, 9)),
        (PLAIN, usage(-1, 8)),
        (PLAIN, usage(2**53, 8)),
        (PLAIN, usage(8, 8, audio_completion_tokens=3)),
    ],
)
def test_unknown_usage_is_no_cost(price, counts):
    """A count that matters and is unknown, or cannot be, gives None and never a number."""
    assert price.cost(counts) is None


def test_counts_that_do_not_matter_may_be_unknown():
    """Without a price of their own, cached and reasoning tokens need not be known."""
    assert PLAIN.cost(usage(8, 8)) == PLAIN.cost(usage(8, 8, 3, 5)) == Decimal("0.000006")


def test_free_is_an_explicit_zero():
    """What costs nothing costs 0, also when the server reports no usage."""
    free = Price(model="*", rates=PriceRates(prompt=Decimal(0), completion=Decimal(0)))
    assert free.cost(Usage()) == 0
    assert free.worst_case(10**6, None, 5) == 0
    assert not PLAIN.is_free()


rates = st.decimals(0, 100, places=6).map(Decimal)
counts = st.integers(0, 10**6)


@st.composite
def price_and_usage(draw) -> tuple[Price, Usage]:
    def some() -> PriceRates:
        return PriceRates(
            prompt=draw(rates), completion=draw(rates), cached=draw(st.none() | rates),
            reasoning=draw(st.none() | rates),
        )  # fmt: skip

    starts = sorted(draw(st.sets(st.integers(1, 10**6), max_size=3)))
    price = Price(
        model="m", rates=some(), per_request_usd=draw(st.decimals(0, 1, places=12)),
        tiers=tuple(PriceTier(above_prompt_tokens=start, rates=some()) for start in starts),
    )  # fmt: skip
    prompt, completion = draw(counts), draw(counts)
    cached, reasoning = draw(st.integers(0, prompt)), draw(st.integers(0, completion))
    return price, usage(prompt, completion, cached, reasoning)


@given(price_and_usage())
def test_parts_add_up(case):
    """Prompt, cached, completion and reasoning parts, each priced alone, sum to the whole."""
    price, whole = case
    tier = price.rates_at(whole.prompt_tokens)
    one = Price(model="m", rates=tier)
    parts = [
        one.cost(usage(whole.prompt_tokens - whole.cached_tokens, 0, 0, 0)),
        one.cost(usage(whole.cached_tokens, 0, whole.cached_tokens, 0)),
        one.cost(usage(0, whole.completion_tokens - whole.reasoning_tokens, 0, 0)),
        one.cost(usage(0, whole.reasoning_tokens, 0, whole.reasoning_tokens)),
        price.per_request_usd,
    ]
    assert sum(parts) == price.cost(whole)


@settings(max_examples=100)
@given(price_and_usage(), st.integers(0, 1000), st.integers(1, 3), st.data())
def test_worst_case_is_never_exceeded(case, slack, n, data):
    """No usage within the bounds costs more than the worst case, whichever tier it falls in."""
    price, _ = case
    bound, max_tokens = data.draw(counts), data.draw(st.integers(0, 10**5))
    worst = price.worst_case(bound, max_tokens, n)
    prompt = data.draw(st.integers(max(0, bound - slack), bound) | st.integers(0, bound))
    completion = data.draw(st.integers(0, max_tokens * n))
    cached, reasoning = (
        data.draw(st.integers(0, prompt)),
        data.draw(st.integers(0, completion)),
    )
    assert price.cost(usage(prompt, completion, cached, reasoning)) <= worst


def test_worst_case_by_hand():
    """The worst case pays the prompt once, and every choice in full at the dearest rate."""
    assert PLAIN.worst_case(100, 50, 2) == Decimal("0.000075")  # 100 · 0.15 + 2 · 50 · 0.6
    assert QWEN.worst_case(100, 50, 1) == Decimal("0.00024")  # 100 · 0.4 + 50 · 4
    assert PLAIN.worst_case(100, None, 1) is None
