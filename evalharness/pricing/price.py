"""One price, and the exact cost of one request under it.

All arithmetic is in whole pico-dollars (10⁻¹² USD): a price per million tokens with at most six
decimals is a whole number of pico-dollars per token, and so is every cost. Nothing is rounded.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import msgspec

from evalharness.pricing.cost_formula import (
    TokenKinds,
    is_contradictory,
    is_count_missing,
    request_pico,
)
from evalharness.records import Usage

PICO = 10**12  # pico-dollars in a dollar
# Bounds that keep the cost of any one request below 2⁶² pico-dollars, hence exact in int64.
MAX_USD_PER_MTOK = Decimal(10_000)  # a cent a token
MAX_FEE_USD = Decimal(1_000)
_PICO_PER_TOKEN = 10**6  # price in USD per million tokens → pico-dollars per token


class PriceRates(msgspec.Struct, frozen=True, kw_only=True):
    """US dollars per million tokens.

    Attributes:
        prompt: of prompt tokens.
        completion: of completion tokens.
        cached: of prompt tokens read from a cache; null means the prompt price.
        reasoning: of reasoning tokens; null means the completion price.
    """

    prompt: Decimal
    completion: Decimal
    cached: Decimal | None = None
    reasoning: Decimal | None = None

    def per_token(self) -> TokenKinds[int]:
        """The same in whole pico-dollars per token, every rate given."""
        prompt, completion = _pico_per_token(self.prompt), _pico_per_token(self.completion)
        return TokenKinds(
            prompt=prompt,
            cached=prompt if self.cached is None else _pico_per_token(self.cached),
            completion=completion,
            reasoning=completion if self.reasoning is None else _pico_per_token(self.reasoning),
        )


class PriceTier(msgspec.Struct, frozen=True, kw_only=True):
    """Rates for requests with more than ``above_prompt_tokens`` prompt tokens."""

    above_prompt_tokens: int
    rates: PriceRates


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """What one model costs at one provider, from a date on.

    Attributes:
        model: name as sent, or a pattern with ``*``, ``?`` and ``[…]``.
        rates: price of a request at or below the first tier.
        tiers: by rising ``above_prompt_tokens``. The rule is the cliff: the prompt's size, cached
            tokens included, picks one tier, and the *whole* request is priced at it.
        per_request_usd: fee of each request.
        provider: None is any provider.
        valid_from: first day (UTC); None is since ever.
        source: where the price was read.
        table: the price file, ``genai-prices VERSION``, or ``override``.
        as_of: the day the table was read; None is unknown.
    """

    model: str
    rates: PriceRates
    tiers: tuple[PriceTier, ...] = ()
    per_request_usd: Decimal = Decimal(0)
    provider: str | None = None
    valid_from: date | None = None
    source: str | None = None
    table: str = "override"
    as_of: date | None = None

    def is_free(self) -> bool:
        """Whether every request costs nothing, whatever its usage."""
        all_rates = [self.rates, *(tier.rates for tier in self.tiers)]
        return not self.per_request_usd and all(
            not any((r.prompt, r.completion, r.cached, r.reasoning)) for r in all_rates
        )

    def rates_at(self, prompt_tokens: int) -> PriceRates:
        """The rates that apply to a request with this many prompt tokens."""
        rates = self.rates
        for tier in self.tiers:
            if prompt_tokens > tier.above_prompt_tokens:
                rates = tier.rates
        return rates

    def fee_pico(self) -> int:
        """The fee of each request in pico-dollars."""
        return _exact_int(self.per_request_usd * PICO)

    def cost(self, usage: Usage) -> Decimal | None:
        """Exact US dollars of one request; None when they are unknown.

        :mod:`~evalharness.pricing.cost_formula` has the formula, the counts that it needs, and
        those that cannot be. Audio tokens have prices of their own that are not known here, so
        the cost of usage with audio tokens is unknown too.
        """
        if self.is_free():
            return Decimal(0)
        reported = TokenKinds(
            prompt=usage.prompt_tokens,
            cached=usage.cached_tokens,
            completion=usage.completion_tokens,
            reasoning=usage.reasoning_tokens,
        )
        counts = TokenKinds(*(count or 0 for count in reported))
        rates = self.rates_at(counts.prompt).per_token()
        missing = TokenKinds(*(count is None for count in reported))
        if _has_audio(usage) or is_count_missing(missing, rates) or is_contradictory(counts):
            return None
        return to_usd(request_pico(counts, rates, self.fee_pico()))

    def worst_case(self, prompt_tokens: int, max_tokens: int | None, n: int = 1) -> Decimal | None:
        """The most one request can cost, in US dollars; None when nothing bounds it.

        Args:
            prompt_tokens: an upper bound of the prompt's tokens.
            max_tokens: bound of the tokens of each choice; None is no bound.
            n: choices asked for; the prompt is paid once.
        """
        if self.is_free():
            return Decimal(0)
        bounds = [0, *(tier.above_prompt_tokens + 1 for tier in self.tiers)]
        reachable = [start for start in bounds if start <= prompt_tokens]
        worst = 0
        for index, start in enumerate(reachable):
            rates = self.rates_at(start).per_token()
            # The largest prompt of this tier: the next tier may be cheaper.
            largest = prompt_tokens if index + 1 == len(reachable) else reachable[index + 1] - 1
            dearest = max(rates.completion, rates.reasoning)
            if max_tokens is None and dearest:
                return None
            worst = max(
                worst, largest * max(rates.prompt, rates.cached) + (max_tokens or 0) * n * dearest
            )
        return to_usd(worst + self.fee_pico())


def to_usd(pico: int) -> Decimal:
    """Whole pico-dollars as an exact Decimal of dollars."""
    return Decimal(f"{pico}E-12")  # a constructor never rounds; arithmetic might


def usd_text(amount: Decimal) -> str:
    """An exact amount for messages, never in powers of ten: ``$0``, ``$0.000123``, ``$12.5``."""
    text = f"{amount:f}"
    return f"${text.rstrip('0').rstrip('.') if '.' in text else text}"


def has_decimals(value: Decimal, limit: int) -> bool:
    """Whether a number is finite and written exactly with this many decimals."""
    _, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        return False
    surplus = -exponent - limit
    return surplus <= 0 or not any(digits[-surplus:])


def is_exact(usd_per_mtok: Decimal) -> bool:
    """Whether a price is a whole number of pico-dollars per token, and within bounds."""
    return 0 <= usd_per_mtok <= MAX_USD_PER_MTOK and has_decimals(usd_per_mtok, 6)


def _pico_per_token(usd_per_mtok: Decimal) -> int:
    return _exact_int(usd_per_mtok * _PICO_PER_TOKEN)


def _exact_int(value: Decimal) -> int:
    integer = int(value)
    assert integer == value, "prices are checked with is_exact when they are read"
    return integer


def _has_audio(usage: Usage) -> bool:
    return bool(usage.audio_prompt_tokens or usage.audio_completion_tokens)
