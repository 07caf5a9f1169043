"""Drawing a whole answer from weighted candidates: known answers, JSON values, tool calls.

The tokens of an answer get the probabilities that follow from the weights: at each position, the
mass of the candidates that have this token there, over the mass of all candidates that agree up to
there.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import accumulate

import msgspec

from evalharness.emulator.text.grammar import END_TOKEN
from evalharness.emulator.text.sampling import NEVER, TokenDistribution
from evalharness.emulator.text.text_generator import Token

_PIECES = re.compile(r"\s?\w+|\s+|[^\w\s]")


class AnswerSampler(msgspec.Struct, frozen=True):
    """Candidates by index, how to make each one's text, and how likely each is."""

    distribution: TokenDistribution
    text: Callable[[int], str]

    def draw(self, u: float | None, *, diverge: bool = False) -> int:
        """The candidate a uniform number falls on; None takes the most likely.

        ``diverge`` takes the second most likely instead of the most likely, where there is one.
        """
        dist = self.distribution
        rank = 0
        if u is not None:
            while dist.cumulative[rank] <= u:
                rank += 1
        if diverge and len(dist.order) > 1:
            rank = 1 if rank == 0 else 0
        return dist.order[rank]

    def tokens(self, index: int, top: int) -> list[Token]:
        """The chosen text's tokens with their exact logprobs."""
        live: list[tuple[list[str], float]] = [
            (split_tokens(self.text(i)), math.exp(p))
            for i, p in zip(self.distribution.order, self.distribution.logprobs, strict=True)
            if p > NEVER or i == index
        ]
        tokens: list[Token] = []
        for position, token in enumerate(split_tokens(self.text(index))):
            mass: defaultdict[str, float] = defaultdict(float)
            for words, share in live:
                mass[words[position] if position < len(words) else END_TOKEN] += share
            total = sum(mass.values())
            ranked = sorted(mass.items(), key=lambda entry: (-entry[1], entry[0]))[:top]
            tokens.append(
                Token(
                    token,
                    _log(mass[token], total),
                    [(text, _log(share, total)) for text, share in ranked],
                )
            )
            live = [(w, p) for w, p in live if position < len(w) and w[position] == token]
        return tokens


def _log(share: float, total: float) -> float:
    return math.log(share / total) if share > 0 else NEVER


def split_tokens(text: str) -> list[str]:
    """A text in tokens: words with their leading blank, punctuation, other blanks."""
    return _PIECES.findall(text)


def cut_tokens(pieces: Sequence[str], length: int) -> list[str]:
    """The pieces that make up the first ``length`` characters, the last one shortened."""
    head: list[str] = []
    for piece in pieces:
        if length <= 0:
            break
        head.append(piece[:length])
        length -= len(piece)
    return head


def answer_distribution(
    right: str, wrong: Sequence[str], difficulty: float, accuracy: float, temperature: float
) -> tuple[list[str], TokenDistribution]:
    """Right and wrong answers of a question with their probabilities.

    The question's own chance of the right answer is
    ``(1 − w) · [difficulty < accuracy] + w · accuracy`` with ``w = 1 − exp(−temperature)``: over
    questions of uniform difficulty its mean is ``accuracy`` at every temperature, while
    temperature moves the variety from between questions to between repeats. Wrong answers share
    what is left, the first twice as often as the second, and so on.
    """
    share = 1.0 - math.exp(-temperature)
    chance = (1.0 - share) * (difficulty < accuracy) + share * accuracy
    halves = [2.0**-i for i in range(len(wrong))]
    chances = [chance, *((1.0 - chance) * half / sum(halves) for half in halves)]
    order = sorted(range(len(chances)), key=lambda i: (-chances[i], i))
    cumulative = list(accumulate(chances[i] for i in order))
    cumulative[-1] = 1.0
    logprobs = [_log(chances[i], 1.0) for i in order]
    return [right, *wrong], TokenDistribution(order, cumulative, logprobs)
