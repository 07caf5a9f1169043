"""Tokens of the prompts of a plan: as recorded, else estimated from their length."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from evalharness.analysis.stats.prediction import line_total
from evalharness.planning.estimate.request_text import RequestText

if TYPE_CHECKING:
    from evalharness.planning.estimate.history import ModelHistory

Floats = NDArray[np.float64]

# A guess from length alone is right within this factor for the tokenizers of current models on
# prose, code and Chinese; it is stated, not hidden.
FACTOR = 2.0
# Counts are whole tokens. Prompts of one length share their rounding, so that it does not average
# out as the scatter around a line does.
_ROUNDING = 0.5
# How far the total of made prompts may be from what was asked for.
_MADE = 0.02


class PromptTokens(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of some prompts and of their total.

    Attributes:
        per_prompt: expected tokens of each prompt.
        low: lower end of the total, ``expected`` and ``high`` likewise.
        basis: ``recorded`` (the same prompts were counted before), ``asked`` (a synthetic workload
            makes them so long), ``fitted`` (tokens a character of recorded runs),
            ``length`` (a guess from the text's length), ``unknown`` (images,
            recordings or files whose tokens are not known: the figures are of the text alone),
            ``unbounded`` (of later turns whose earlier answers have no limit: without these).
        known: how many of the prompts were counted before.
    """

    per_prompt: Floats
    low: float
    expected: float
    high: float
    basis: str
    known: int


def prompt_tokens(
    texts: list[RequestText],
    remaining: Floats,
    history: ModelHistory | None,
    part_tokens: Mapping[str, int] = MappingProxyType({}),
    goals: Floats | None = None,
) -> PromptTokens:
    """Estimate the tokens of prompts.

    Args:
        texts: one a prompt.
        remaining: how often each is to be sent.
        history: recorded runs of the model; None without any.
        part_tokens: the most tokens of an image, recording or file, by type of part.
        goals: tokens that each prompt is made to have; None where they were not made.

    Returns:
        With an interval of 95 % where a line could be fitted; ± a factor of 2 for guesses,
        ± 2 % for made prompts.
    """
    counted = [None if history is None else history.prompt_tokens.get(text.key) for text in texts]
    known = np.array([count is not None for count in counted], np.bool_)
    per_prompt = np.array([count or 0.0 for count in counted], np.float64)
    low = high = float((per_prompt * remaining)[known].sum())
    basis = "recorded"
    new = ~known
    if new.any():
        chars = np.array([max(1, text.chars) for text in texts], np.float64)
        line = None
        if history is not None and goals is None:
            line = line_total(history.chars, history.tokens, chars[new], remaining[new])
        if goals is not None:
            basis = "asked"
            per_prompt[new] = goals[new]
            total = float((goals * remaining)[new].sum())
            low, high = low + total * (1 - _MADE), high + total * (1 + _MADE)
        elif history is not None and line is not None and line.expected > 0:
            basis = "fitted"
            per_prompt[new] = (
                chars[new] * line.expected / max(1.0, float((chars * remaining)[new].sum()))
            )
            rounding = _ROUNDING * float(remaining[new].sum())
            low, high = low + max(0.0, line.low - rounding), high + line.high + rounding
        else:
            basis = "length"
            per_prompt[new] = [
                text.guess for text, is_new in zip(texts, new, strict=True) if is_new
            ]
            guess = float((per_prompt * remaining)[new].sum())
            low, high = low + guess / FACTOR, high + guess * FACTOR
        media = [_media_tokens(text.media, part_tokens) for text in texts]
        more = np.array([tokens or 0.0 for tokens in media], np.float64)
        # At most as many as the profile states; at least none.
        per_prompt[new] += more[new]
        high += float((more * remaining)[new].sum())
        is_unknown = np.array([tokens is None for tokens in media], np.bool_)
        if np.any(is_unknown & new & (remaining > 0)):
            basis = "unknown"
    expected = float((per_prompt * remaining).sum())
    return PromptTokens(
        per_prompt=per_prompt,
        low=low,
        expected=expected,
        high=high,
        basis=basis,
        known=int(known.sum()),
    )


def _media_tokens(media: Mapping[str, int], part_tokens: Mapping[str, int]) -> float | None:
    """The most tokens of these parts; None where those of one are not known."""
    if not media.keys() <= part_tokens.keys():
        return None
    return float(sum(part_tokens[kind] * count for kind, count in media.items()))
