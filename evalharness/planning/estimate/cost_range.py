"""Estimated dollars for estimated tokens: by price tier, with and without a cache.

Estimates are floats. Recorded costs are exact (:mod:`evalharness.pricing`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evalharness.pricing import Price

Floats = NDArray[np.float64]
_PICO = 1e-12


class TierRates:
    """A price as arrays: dollars per token by the tier of a prompt's size."""

    def __init__(self, price: Price) -> None:
        self._starts = np.array([tier.above_prompt_tokens for tier in price.tiers], np.float64)
        table = [r.per_token() for r in (price.rates, *(t.rates for t in price.tiers))]
        self._prompt = np.array([r.prompt for r in table], np.float64) * _PICO
        self._cached = np.array([r.cached for r in table], np.float64) * _PICO
        self._completion = np.array([r.completion for r in table], np.float64) * _PICO
        self._reasoning = np.array([r.reasoning for r in table], np.float64) * _PICO
        self.fee_usd = float(price.per_request_usd)

    def prompt_usd(self, tokens: Floats, cached_share: float) -> Floats:
        """Dollars for each prompt when this share of it comes from a cache."""
        tier = self._tier(tokens)
        mixed = (1.0 - cached_share) * self._prompt[tier] + cached_share * self._cached[tier]
        return tokens * mixed

    def output_usd(self, prompt: Floats, completion: Floats, reasoning: Floats) -> Floats:
        """Dollars for answers to prompts of these sizes; ``completion`` includes ``reasoning``."""
        tier = self._tier(prompt)
        plain = np.maximum(completion - reasoning, 0.0)
        return plain * self._completion[tier] + reasoning * self._reasoning[tier]

    def max_output_usd(self, prompt: Floats, completion: Floats) -> Floats:
        """Dollars when every token is of the dearer kind; 0 tokens or a free price cost 0."""
        tier = self._tier(prompt)
        dearest = np.maximum(self._completion[tier], self._reasoning[tier])
        # 0 × ∞ is not a number; an unbounded answer whose tokens are free costs 0.
        return np.where(dearest > 0, np.where(dearest > 0, completion, 0.0) * dearest, 0.0)

    def _tier(self, prompt: Floats) -> NDArray[np.int64]:
        return np.searchsorted(self._starts, prompt, side="left")
