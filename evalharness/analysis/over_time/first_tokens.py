"""How likely a run holds the first token that a reference run answered with.

A model's probabilities say more than what was drawn from them: a few answers with logprobs show
that a model is another one where hundreds of texts may not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from evalharness.analysis.data.encode import Floats, Ints
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.output_texts import read_texts

#: The lowest log-probability that counts: servers write anything below (-9999) for "never".
LOWEST = -20.0
#: Records read of a run: the first repeats of every prompt first.
MAX_RECORDS = 20_000
_TEXTS_AT_ONCE = 2_000


class TokenProbability(msgspec.Struct, frozen=True):
    """A token and the natural logarithm of its probability."""

    token: str
    logprob: float


class FirstToken(TokenProbability, frozen=True):
    """The first token of an output, and the likeliest ones at its place."""

    top_logprobs: list[TokenProbability] | None = None

    def logprob_of(self, token: str) -> float:
        """The log-probability of a token here; where it is not listed, the most it can be.

        It is at most that of the least likely one listed, and at most what all of them leave.
        """
        listed = {each.token: each.logprob for each in [*(self.top_logprobs or []), self]}
        if token in listed:
            return max(LOWEST, min(0.0, listed[token]))
        rest = 1.0 - math.fsum(math.exp(min(0.0, value)) for value in listed.values())
        left = math.log(rest) if rest > 0.0 else LOWEST
        least = min((each.logprob for each in self.top_logprobs or []), default=0.0)
        return max(LOWEST, min(0.0, left, least))


class _Logprobs(msgspec.Struct):
    content: list[FirstToken] | None = None


def first_tokens(frame: RunFrame) -> list[tuple[int, FirstToken]]:
    """The first token of each output with logprobs: the record's position, and the token.

    At most :data:`MAX_RECORDS` records are read.
    """
    if frame.lazy_columns is None and "logprobs_json" not in frame.records.column_names:
        return []
    rows = np.flatnonzero(frame.usable)
    if len(rows) > MAX_RECORDS:
        chosen = np.argsort(frame.repeat[rows], kind="stable")[:MAX_RECORDS]
        rows = np.sort(rows[chosen])
    tokens_by_row: list[tuple[int, FirstToken]] = []
    for start in range(0, len(rows), _TEXTS_AT_ONCE):
        block: Ints = rows[start : start + _TEXTS_AT_ONCE]
        texts = read_texts(frame, block, "logprobs_json")
        tokens = [_first_token(text) for text in texts]
        tokens_by_row += [
            (row, token)
            for row, token in zip(block.tolist(), tokens, strict=True)
            if token is not None
        ]
    return tokens_by_row


def _first_token(logprobs: str | None) -> FirstToken | None:
    if logprobs is None:
        return None
    try:
        content = msgspec.json.decode(logprobs, type=_Logprobs).content
    except msgspec.MsgspecError:
        return None
    return content[0] if content else None


def commonest_tokens(
    tokens: Sequence[tuple[int, FirstToken]], frame: RunFrame
) -> dict[tuple[int, int], str]:
    """The commonest first token of each prompt and setting, by their positions.

    Of equally common ones the first in the alphabet, so that it does not depend on the order.
    """
    counts: dict[tuple[int, int], dict[str, int]] = {}
    for row, first in tokens:
        cell = counts.setdefault((int(frame.prompt[row]), int(frame.setting[row])), {})
        cell[first.token] = cell.get(first.token, 0) + 1
    return {
        cell: min(number, key=lambda token, n=number: (-n[token], token))
        for cell, number in counts.items()
    }


def mean_logprobs(
    tokens: Sequence[tuple[int, FirstToken]],
    frame: RunFrame,
    reference: Mapping[tuple[int, int], str],
) -> Floats:
    """The mean log-probability of a reference's token in each cell; prompts × settings.

    Args:
        tokens: of :func:`first_tokens` of this run.
        frame: of this run.
        reference: the token of each cell, by the positions of prompt and setting in this run.
    """
    sums, counts = np.zeros(frame.shape), np.zeros(frame.shape)
    for row, first in tokens:
        cell = int(frame.prompt[row]), int(frame.setting[row])
        token = reference.get(cell)
        if token is not None:
            sums[cell] += first.logprob_of(token)
            counts[cell] += 1
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
