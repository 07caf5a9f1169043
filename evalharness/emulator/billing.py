"""What a request used and what it costs, in exact dollars."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

import msgspec

from evalharness.emulator.completion import Choice
from evalharness.emulator.options import EmulatorOptions
from evalharness.emulator.text.answer_sampler import split
from evalharness.emulator.validation.parsed_request import Ask

_NANO_USD = Decimal("0.000000001")  # the API writes nine decimals
_MEGA = Decimal(1_000_000)
_KEPT_PREFIXES = 200_000


class Used(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of a request. ``prompt`` includes ``cached``; ``completion`` all the others."""

    prompt: int
    cached: int
    completion: int
    reasoning: int
    accepted_prediction: int = 0
    rejected_prediction: int = 0

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


NOTHING = Bill(Decimal(0), 0)


class Till:
    """Counts tokens, remembers cached prefixes, and makes out bills."""

    def __init__(self, options: EmulatorOptions) -> None:
        self._options = options
        self._seen: dict[int, None] = {}

    def used(self, ask: Ask, choices: list[Choice]) -> Used:
        """The tokens of a request; from now on its prompt is in the cache.

        A prefix is cached when the same messages, from the first, were sent before.
        """
        accepted = rejected = 0
        if ask.prediction is not None:
            predicted = split(ask.prediction)
            said = choices[0].pieces
            for mine, theirs in zip(said, predicted, strict=False):
                if mine != theirs:
                    break
                accepted += 1
            rejected = len(predicted) - accepted
        return Used(
            prompt=ask.prompt_tokens,
            cached=self._cached(ask),
            # Rejected predictions are billed as completion, as the OpenAPI says.
            completion=sum(choice.completion_tokens for choice in choices) + rejected,
            reasoning=sum(len(choice.reasoning) for choice in choices),
            accepted_prediction=accepted,
            rejected_prediction=rejected,
        )

    def _cached(self, ask: Ask) -> int:
        shortest = self._options.cache_min_tokens
        if shortest is None:
            return 0
        cached = 0
        for state, tokens in ask.prefixes:
            if state in self._seen:
                cached = tokens
            else:
                self._seen[state] = None
        while len(self._seen) > _KEPT_PREFIXES:
            del self._seen[next(iter(self._seen))]
        return cached if cached >= shortest else 0

    def bill(self, used: Used) -> Bill:
        """Each kind of token at its price; the dollars rounded half up to the billionth."""
        prices = self._options
        usd = (
            (used.prompt - used.cached) * prices.price_prompt
            + used.cached * prices.price_cached
            + (used.completion - used.reasoning) * prices.price_completion
            + used.reasoning * prices.price_reasoning
        ) / _MEGA
        usd = usd.quantize(_NANO_USD, ROUND_HALF_UP)
        return Bill(usd, int((usd * prices.credits_per_usd).to_integral_value(ROUND_HALF_UP)))
