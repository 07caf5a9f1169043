"""What a request used and what it costs, in exact dollars."""

from __future__ import annotations

import random
from decimal import ROUND_HALF_UP, Decimal

import msgspec

from evalharness.emulator.batch_context import current_batch_request
from evalharness.emulator.completion import ChatChoice
from evalharness.emulator.options import EmulatorOptions
from evalharness.emulator.text.answer_sampler import split_tokens
from evalharness.emulator.validation.parsed_request import ParsedRequest

_NANO_USD = Decimal("0.000000001")  # the API writes nine decimals
_MEGA = Decimal(1_000_000)
_MAX_CACHED_PREFIXES = 200_000


class RequestTokens(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of a request.

    ``prompt`` includes ``cached`` and those written to the cache at the request's own marks, for
    five minutes or an hour; ``completion`` includes all the others.
    """

    prompt: int
    cached: int
    completion: int
    reasoning: int
    accepted_prediction: int = 0
    rejected_prediction: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0

    @property
    def total(self) -> int:
        """Prompt and completion together."""
        return self.prompt + self.completion


class Bill(msgspec.Struct, frozen=True):
    """What is charged: US dollars to the billionth, and whole credits."""

    usd: Decimal
    credits: int

    def usd_text(self) -> str:
        """Dollars as the API writes them: plain digits, nine decimals."""
        return f"{self.usd:.9f}"


class Biller:
    """Counts tokens, remembers which prefixes are cached, and computes bills."""

    def __init__(self, options: EmulatorOptions) -> None:
        self._options = options
        self._cached_prefixes: dict[int, None] = {}
        self._random = random.Random(f"evalharness emulator usage {options.seed}")

    def count_tokens(self, request: ParsedRequest, choices: list[ChatChoice]) -> RequestTokens:
        """The tokens of a request, whose prompt is put into the cache.

        A prefix is cached when the same messages, from the first, were sent before.
        """
        accepted = rejected = 0
        if request.prediction is not None:
            predicted = split_tokens(request.prediction)
            for actual, expected in zip(choices[0].pieces, predicted, strict=False):
                if actual != expected:
                    break
                accepted += 1
            rejected = len(predicted) - accepted
        cached = self._cached_tokens(request)
        written, written_1h = self._written_tokens(request, cached)
        wrong = self._random.random() < self._options.usage_noise
        more = self._random.randint(1, 1000) if wrong else 0
        return RequestTokens(
            prompt=request.prompt_tokens + more,
            cached=cached,
            cache_write=written,
            cache_write_1h=written_1h,
            # Rejected predictions are billed as completion, as the OpenAPI says.
            completion=sum(choice.completion_tokens for choice in choices) + rejected + more,
            reasoning=sum(len(choice.reasoning) for choice in choices),
            accepted_prediction=accepted,
            rejected_prediction=rejected,
        )

    def _cached_tokens(self, request: ParsedRequest) -> int:
        shortest = self._options.cache_min_tokens
        if shortest is None:
            return 0
        cached = 0
        block = self._options.cache_block_tokens
        blocks = [] if block is None else _block_prefixes(request, block)
        for state, tokens in sorted([*request.prefixes, *blocks], key=lambda prefix: prefix[1]):
            if state in self._cached_prefixes:
                cached = tokens
            else:
                self._cached_prefixes[state] = None
        while len(self._cached_prefixes) > _MAX_CACHED_PREFIXES:
            del self._cached_prefixes[next(iter(self._cached_prefixes))]
        return cached if cached >= shortest else 0

    def _written_tokens(self, request: ParsedRequest, cached: int) -> tuple[int, int]:
        """What the request's marks put into the cache, for five minutes and for an hour."""
        shortest = self._options.cache_min_tokens
        written, at = [0, 0], cached
        for mark in request.cache_marks:
            end = request.tokens_until(mark)
            if shortest is not None and end > at and end >= shortest:
                written[mark.hour] += end - at
                at = end
        return written[0], written[1]

    def bill(self, tokens: RequestTokens) -> Bill:
        """Each kind of token at its price, less a batch's discount; half up to the billionth."""
        prices = self._options
        usd = (
            (tokens.prompt - tokens.cached - tokens.cache_write - tokens.cache_write_1h)
            * prices.price_prompt
            + tokens.cache_write * prices.price_cache_write
            + tokens.cache_write_1h * prices.price_cache_write_1h
            + tokens.cached * prices.price_cached
            + (tokens.completion - tokens.reasoning) * prices.price_completion
            + tokens.reasoning * prices.price_reasoning
        ) / _MEGA
        if current_batch_request() is not None:
            usd *= 1 - Decimal(str(prices.batch_discount))
        usd = usd.quantize(_NANO_USD, ROUND_HALF_UP)
        return Bill(usd, int((usd * prices.credits_per_usd).to_integral_value(ROUND_HALF_UP)))


def _block_prefixes(request: ParsedRequest, block: int) -> list[tuple[int, int]]:
    """Hash and token count of each beginning of whole blocks, four bytes a token."""
    prefixes: list[tuple[int, int]] = []
    for message in request.texts:
        text, state = message.text.encode(), message.before
        start, ends = 0, block - message.tokens_before % block
        while 4 * ends <= len(text):
            state = hash((state, text[start : 4 * ends]))
            prefixes.append((state, message.tokens_before + ends))
            start, ends = 4 * ends, ends + block
    return prefixes
