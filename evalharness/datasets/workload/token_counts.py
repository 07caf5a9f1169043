"""How many tokens a text is on the server: units that are counted here, and a line to its tokens.

The units are words, or the tokens of a tokenizer's file; the line is measured on the server, or
guessed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

#: Without anything better: common words are a token each, and a chat template has a few.
GUESSED_TOKENS_PER_WORD = 1.03
GUESSED_OVERHEAD = 10.0

_TRIES = 12  # texts of one prompt; a few steps come as near as a word allows


class TextCounter(Protocol):
    """Counts the units of a text."""

    #: Tokens of a unit, where nothing was measured.
    guess: float

    def count(self, text: str) -> int:
        """Units of a text alone."""
        ...


class WordCounter:
    """Counts words."""

    guess: float = GUESSED_TOKENS_PER_WORD

    def count(self, text: str) -> int:
        """As :meth:`TextCounter.count`."""
        return len(text.split())


class LinearCounts(NamedTuple):
    """Tokens as ``overhead + per_unit × units``; the overhead is the chat template's."""

    per_unit: float
    overhead: float

    @staticmethod
    def guessed(counter: TextCounter) -> LinearCounts:
        """Where nothing was measured."""
        return LinearCounts(counter.guess, GUESSED_OVERHEAD)

    def units(self, tokens: int, *, alone: bool = True) -> int:
        """Units of a prompt of so many tokens; not ``alone``: of a part of one."""
        overhead = self.overhead if alone else 0.0
        return max(1, round((tokens - overhead) / self.per_unit))


def fit_text(units: int, counter: TextCounter, make_text: Callable[[int], str]) -> str:
    """The text whose number of units comes closest.

    Args:
        units: wanted.
        counter: of the units.
        make_text: makes a text of n words.
    """
    words, tried = units, set[int]()
    best, best_error = "", math.inf
    while words not in tried and len(tried) < _TRIES:
        tried.add(words)
        text = make_text(words)
        count = counter.count(text)
        if abs(count - units) < best_error:
            best, best_error = text, abs(count - units)
        words = max(1, words + round((units - count) * words / max(1, count)))
    return best


def fit_counts(units: Sequence[int], tokens: Sequence[int]) -> LinearCounts:
    """The line through measured prompts (least squares).

    Args:
        units: how many each prompt had; at least two different numbers.
        tokens: what the server counted.

    Raises:
        ValueError: tokens do not grow with units.
    """
    n = len(units)
    mean_units, mean_tokens = math.fsum(units) / n, math.fsum(tokens) / n
    spread = math.fsum((w - mean_units) ** 2 for w in units)
    together = math.fsum(
        (w - mean_units) * (t - mean_tokens) for w, t in zip(units, tokens, strict=True)
    )
    if spread == 0.0 or together <= 0.0:
        raise ValueError("the server's counts of prompt tokens do not grow with the prompts")
    per_unit = together / spread
    return LinearCounts(per_unit, mean_tokens - per_unit * mean_units)
