"""How many tokens the prompts of a plan have, from those recorded, else from their length."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from evalharness.analysis.stats.prediction import line_total
from evalharness.planning.estimate.request_text import Text

if TYPE_CHECKING:
    from evalharness.planning.estimate.history import ModelFacts

Floats = NDArray[np.float64]

# A guess from length alone is right within this factor for the tokenizers of current models on
# prose, code and Chinese; it is stated, not hidden.
FACTOR = 2.0
# Counts are whole tokens. Prompts of one length share their rounding, so that it does not average
# out as the scatter around a line does.
_ROUNDING = 0.5


class PromptTokens(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of some prompts and of their total.

    Attributes:
        each: expected tokens of each prompt.
        low: lower end of the total, ``expected`` and ``high`` likewise.
        basis: ``recorded`` (the same prompts were counted before), ``fitted`` (tokens a character
            of recorded runs), ``length`` (a guess from the text's length).
        known: how many of the prompts were counted before.
    """

    each: Floats
    low: float
    expected: float
    high: float
    basis: str
    known: int


def prompt_tokens(texts: list[Text], wanted: Floats, facts: ModelFacts | None) -> PromptTokens:
    """Estimate the tokens of prompts.

    Args:
        texts: one a prompt.
        wanted: how often each is to be sent.
        facts: what recorded runs of the model tell; None without any.

    Returns:
        With an interval of 95 % where a line could be fitted; ± a factor of 2 for guesses.
    """
    counted = [None if facts is None else facts.prompt_tokens.get(text.key) for text in texts]
    known = np.array([count is not None for count in counted], np.bool_)
    each = np.array([count or 0.0 for count in counted], np.float64)
    low = high = float((each * wanted)[known].sum())
    basis = "recorded"
    new = ~known
    if new.any():
        chars = np.array([max(1, text.chars) for text in texts], np.float64)
        line = None
        if facts is not None:
            line = line_total(facts.chars, facts.tokens, chars[new], wanted[new])
        if facts is not None and line is not None and line.expected > 0:
            basis = "fitted"
            each[new] = chars[new] * line.expected / max(1.0, float((chars * wanted)[new].sum()))
            rounding = _ROUNDING * float(wanted[new].sum())
            low, high = low + max(0.0, line.low - rounding), high + line.high + rounding
        else:
            basis = "length"
            each[new] = [text.guess for text, is_new in zip(texts, new, strict=True) if is_new]
            guess = float((each * wanted)[new].sum())
            low, high = low + guess / FACTOR, high + guess * FACTOR
    expected = float((each * wanted).sum())
    return PromptTokens(
        each=each, low=low, expected=expected, high=high, basis=basis, known=int(known.sum())
    )
