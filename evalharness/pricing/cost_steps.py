"""The arithmetic of one request's cost, a line for each kind of token."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from evalharness.pricing.cost_formula import (
    COUNT_MISSING,
    NO_PRICE,
    USAGE_CONTRADICTS,
    TokenKinds,
    is_contradictory,
    is_count_missing,
    is_rate_missing,
)
from evalharness.pricing.price import Price, reported_counts, to_usd
from evalharness.pricing.usage_rules import billed_counts
from evalharness.records import Usage

_PICO_PER_USD_A_MTOK = 10**6


class CostStep(NamedTuple):
    """Tokens of one kind at their rate.

    Attributes:
        kind: in words.
        tokens: those that are billed at this rate.
        usd_per_mtok: US dollars per million tokens.
        usd: tokens times rate, exact.
    """

    kind: str
    tokens: int
    usd_per_mtok: Decimal
    usd: Decimal


class CostSteps(NamedTuple):
    """The cost of a request, and how it comes about.

    Attributes:
        steps: of kinds with tokens; empty where the cost is unknown.
        fee_usd: of the request itself.
        total_usd: the sum; None where it is unknown.
        unknown: why it is, one of :data:`~.cost_formula.REASONS`.
        by_rule: whether the provider's ``usage_rule`` changed a count.
    """

    steps: list[CostStep]
    fee_usd: Decimal
    total_usd: Decimal | None
    unknown: str | None = None
    by_rule: bool = False


def cost_steps(price: Price | None, usage: Usage) -> CostSteps:
    """The steps to :meth:`~.price.Price.cost`; their sum is the same, exactly."""
    if price is None:
        return CostSteps([], Decimal(0), None, NO_PRICE)
    reported = reported_counts(usage)
    counts, contradicts, by_rule = billed_counts(
        TokenKinds(*(count or 0 for count in reported)),
        usage.total_tokens or 0,
        usage.total_tokens is not None,
        price.usage_rule,
    )
    rates = price.rates_at(counts.prompt).per_token()
    total = price.cost(usage)
    if total is None:
        missing = TokenKinds(*(count is None for count in reported))
        return CostSteps([], Decimal(0), None, _why(usage, missing, counts, rates))
    fee = to_usd(price.fee_pico())
    if price.is_free() or contradicts or is_contradictory(counts):
        return CostSteps([], fee, total)  # free, whatever the counts say
    return CostSteps(_steps(counts, rates), fee, total, by_rule=bool(by_rule))


def _why(
    usage: Usage, missing: TokenKinds[bool], counts: TokenKinds[int], rates: TokenKinds[int]
) -> str:
    if usage.audio_prompt_tokens or usage.audio_completion_tokens:
        return NO_PRICE
    if is_rate_missing(counts, rates):
        return NO_PRICE
    return COUNT_MISSING if is_count_missing(missing, counts, rates) else USAGE_CONTRADICTS


def _steps(counts: TokenKinds[int], rates: TokenKinds[int]) -> list[CostStep]:
    kinds = [
        ("prompt", counts.prompt - counts.cached - counts.cache_write, rates.prompt),
        ("read from a cache", counts.cached, rates.cached),
        ("written to a cache", counts.cache_write - counts.cache_write_1h, rates.cache_write),
        ("written to a cache for an hour", counts.cache_write_1h, rates.cache_write_1h),
        ("completion", counts.completion - counts.reasoning, rates.completion),
        ("reasoning", counts.reasoning, rates.reasoning),
    ]
    return [
        CostStep(kind, tokens, Decimal(rate) / _PICO_PER_USD_A_MTOK, to_usd(tokens * rate))
        for kind, tokens, rate in kinds
        if tokens
    ]
