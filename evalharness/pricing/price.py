"""One price, and the exact cost of one request under it.

All arithmetic is in whole pico-dollars (10⁻¹² USD): a price per million tokens with at most six
decimals is a whole number of pico-dollars per token, and so is every cost. Nothing is rounded.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import msgspec

from evalharness.config.models import UsageRule
from evalharness.pricing.cost_formula import (
    MAX_TOKENS,
    NO_RATE,
    TokenKinds,
    is_contradictory,
    is_count_missing,
    is_rate_missing,
    request_pico,
)
from evalharness.pricing.usage_rules import billed_counts, highest_readings
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
        cache_write: of prompt tokens written to a cache; null means the prompt price.
        reasoning: of reasoning tokens; null means the completion price.
        cache_write_1h: of prompt tokens written to a cache for an hour; null means the prompt price
            where ``cache_write`` is null too, else unknown, and so is the cost of such tokens.
    """

    prompt: Decimal
    completion: Decimal
    cached: Decimal | None = None
    cache_write: Decimal | None = None
    reasoning: Decimal | None = None
    cache_write_1h: Decimal | None = None

    def per_token(self) -> TokenKinds[int]:
        """The same in whole pico-dollars per token, every rate given; one may be ``NO_RATE``."""
        prompt, completion = _pico_per_token(self.prompt), _pico_per_token(self.completion)
        an_hour = prompt if self.cache_write is None else NO_RATE
        return TokenKinds(
            prompt=prompt,
            cached=prompt if self.cached is None else _pico_per_token(self.cached),
            cache_write=prompt if self.cache_write is None else _pico_per_token(self.cache_write),
            completion=completion,
            reasoning=completion if self.reasoning is None else _pico_per_token(self.reasoning),
            cache_write_1h=(
                an_hour if self.cache_write_1h is None else _pico_per_token(self.cache_write_1h)
            ),
        )


class PriceTier(msgspec.Struct, frozen=True, kw_only=True):
    """Rates for requests with more than ``above_prompt_tokens`` prompt tokens."""

    above_prompt_tokens: int
    rates: PriceRates


class BatchRates(msgspec.Struct, frozen=True, kw_only=True):
    """What requests in a batch cost; the attributes are as in :class:`Price`.

    Attributes:
        basis: where the rates come from, in words.
    """

    rates: PriceRates
    tiers: tuple[PriceTier, ...] = ()
    per_request_usd: Decimal = Decimal(0)
    basis: str


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
        usage_rule: how the provider's usage is read where it does not add up to its own total;
            None: such a request has no known cost. It comes from the provider's profile.
        batch: what requests in a batch cost; None is unknown.
        batch_basis: of the price of requests in a batch (:func:`~.batch_price.batch_price`): where
            its rates come from; None: it is the price of requests that are sent alone.
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
    usage_rule: UsageRule | None = None
    batch: BatchRates | None = None
    batch_basis: str | None = None

    def is_free(self) -> bool:
        """Whether every request costs nothing, whatever its usage."""
        all_rates = [self.rates, *(tier.rates for tier in self.tiers)]
        return not self.per_request_usd and all(
            not any(
                (r.prompt, r.completion, r.cached, r.cache_write, r.reasoning, r.cache_write_1h)
            )
            for r in all_rates
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
        reported = reported_counts(usage)
        counts, contradicts, _ = billed_counts(
            TokenKinds(*(count or 0 for count in reported)),
            usage.total_tokens or 0,
            usage.total_tokens is not None,
            self.usage_rule,
        )
        rates = self.rates_at(counts.prompt).per_token()
        missing = TokenKinds(*(count is None for count in reported))
        if _has_audio(usage) or is_rate_missing(counts, rates):
            return None
        if is_count_missing(missing, counts, rates):
            return None
        if contradicts or is_contradictory(counts):
            return None
        return to_usd(request_pico(counts, rates, self.fee_pico()))

    def highest_cost(self, usage: Usage) -> Decimal | None:
        """The most a request with this usage may have cost, for the money limit.

        It is the cost where that is known. Where the usage contradicts itself, it is the dearest
        of its readings, every token at the dearest rate of its kind. None where a count is missing
        or beyond belief, or a rate unknown.
        """
        cost = self.cost(usage)
        if cost is not None or _has_audio(usage):
            return cost
        reported = reported_counts(usage)
        if reported.prompt is None or reported.completion is None:
            return None
        counts = TokenKinds(*(count or 0 for count in reported))
        if is_rate_missing(counts, self.rates_at(counts.prompt).per_token()):
            return None
        readings = highest_readings(counts, usage.total_tokens or 0)
        if max(map(max, readings)) > MAX_TOKENS:
            return None
        return max(self._at_dearest_rates(*reading) for reading in readings)

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
            prompt_rate, completion_rate = _dearest(rates)
            if max_tokens is None and completion_rate:
                return None
            worst = max(worst, largest * prompt_rate + (max_tokens or 0) * n * completion_rate)
        return to_usd(worst + self.fee_pico())

    def _at_dearest_rates(self, prompt_tokens: int, completion_tokens: int) -> Decimal:
        prompt_rate, completion_rate = _dearest(self.rates_at(prompt_tokens).per_token())
        pico = prompt_tokens * prompt_rate + completion_tokens * completion_rate
        return to_usd(pico + self.fee_pico())


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


def _dearest(rates: TokenKinds[int]) -> tuple[int, int]:
    """The dearest rate of a prompt token, and of a completion token."""
    prompt = max(rates.prompt, rates.cached, rates.cache_write, rates.cache_write_1h)
    return prompt, max(rates.completion, rates.reasoning)


def reported_counts(usage: Usage) -> TokenKinds[int | None]:
    """The counts that have a price; None where the provider did not say."""
    return TokenKinds(
        prompt=usage.prompt_tokens,
        cached=usage.cached_tokens,
        cache_write=usage.cache_write_tokens,
        completion=usage.completion_tokens,
        reasoning=usage.reasoning_tokens,
        cache_write_1h=usage.cache_write_1h_tokens,
    )


def _has_audio(usage: Usage) -> bool:
    return bool(usage.audio_prompt_tokens or usage.audio_completion_tokens)
