"""Where the outputs under load part from those alone: the common prefix of two texts."""

from __future__ import annotations

import msgspec
import numpy as np

from evalharness.analysis.agreement.divergence import common_prefix, token_prefixes
from evalharness.analysis.agreement.prefix_length import (
    PrefixLength,
    common_words,
    prefix_lengths,
)
from evalharness.analysis.data.encode import Ints
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.output_texts import joined_text

MAX_PROMPTS = 2_000  # that are looked at under one condition
_MAX_PAIRS = 8  # of different texts, of a prompt


class FirstDifference(msgspec.Struct, frozen=True, kw_only=True):
    """Where outputs under load part from those alone, over the prompts on which any two do.

    Attributes:
        words: in words, which end at white space.
        chars: in characters.
        tokens: in tokens, of outputs that both carry logprobs; null where none do.
    """

    words: PrefixLength
    chars: PrefixLength
    tokens: PrefixLength | None


def first_difference(frame: RunFrame, pairs: list[tuple[int, int]]) -> FirstDifference:
    """Describe where some pairs of records part.

    Args:
        frame: the run.
        pairs: rows of the frame with different outputs of one prompt, as
            :func:`different_pairs` gives them.
    """
    rows = np.unique(np.array(pairs, np.int64).ravel())
    texts = joined_text(frame, rows)
    places = np.searchsorted(rows, np.array(pairs, np.int64).reshape(-1, 2))
    prompts = frame.prompt[[left for left, _ in pairs]]
    index: list[tuple[int, int]] = [(int(a), int(b)) for a, b in places]
    chars = np.array([common_prefix(texts[a], texts[b]) for a, b in index], np.int64)
    words = np.array([common_words(texts[a], texts[b]) for a, b in index], np.int64)
    known, tokens = token_prefixes(frame, rows, index)
    return FirstDifference(
        words=prefix_lengths(words, prompts),
        chars=prefix_lengths(chars, prompts),
        tokens=prefix_lengths(tokens, prompts[known]) if len(tokens) else None,
    )


def different_pairs(frame: RunFrame, alone: Ints, loaded: Ints) -> list[tuple[int, int]]:
    """One pair of records of each two different outputs of a prompt, alone and under load.

    At most :data:`_MAX_PAIRS` a prompt, of the first :data:`MAX_PROMPTS` prompts with any.

    Args:
        frame: the run.
        alone, loaded: rows of the frame.
    """
    by_prompt: dict[int, tuple[dict[int, int], dict[int, int]]] = {}
    for side, rows in enumerate((alone, loaded)):
        for row in rows.tolist():
            sides = by_prompt.setdefault(int(frame.prompt[row]), ({}, {}))
            sides[side].setdefault(int(frame.output[row]), row)
    chosen: list[tuple[int, int]] = []
    prompts = 0
    for first, second in by_prompt.values():
        pairs = [(a, b) for x, a in first.items() for y, b in second.items() if x != y]
        chosen += pairs[:_MAX_PAIRS]
        prompts += bool(pairs)
        if prompts == MAX_PROMPTS:
            break
    return chosen
