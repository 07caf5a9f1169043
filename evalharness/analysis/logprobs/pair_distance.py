"""How far the log probabilities of two outputs are apart, at the places where they compare.

A place compares where all tokens before it are equal: then both sides were asked for the same next
token. These are the places of the common prefix, and the one where the outputs part.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from evalharness.analysis.data.encode import Floats
from evalharness.analysis.logprobs.token_output import TokenOutput

_LEAST = 1e-12  # a probability below it is rounding


class PairDistance(NamedTuple):
    """Two outputs. Log probabilities are natural; a figure is None where nothing compares.

    Attributes:
        prefix: tokens that they have in common at their beginning.
        differences: absolute difference of the log probability of each token that both sides
            name at an equal prefix: the chosen ones, and where the outputs part those chosen
            ones that the other side lists.
        kl: mean over the ``kl_places`` of the Kullback-Leibler divergence of the next token, in
            nats, of both directions; a lower bound, see :func:`divergence`.
        kl_places: places at which both sides list candidates.
        top_prefix: places before the first one at which the likeliest tokens differ; None where
            they never do, or no candidates are listed.
    """

    prefix: int
    differences: Floats
    kl: float | None
    kl_places: int
    top_prefix: int | None


def pair_distance(left: TokenOutput, right: TokenOutput) -> PairDistance:
    """Compare two outputs to one prompt."""
    shorter = min(len(left.tokens), len(right.tokens))
    pairs = enumerate(zip(left.tokens, right.tokens, strict=False))
    prefix = next((i for i, (a, b) in pairs if a != b), shorter)
    differences = np.abs(left.logprobs[:prefix] - right.logprobs[:prefix])
    if prefix < shorter:
        differences = np.append(differences, _at_parting(left, right, prefix))
    differences = differences[~np.isnan(differences)]
    kl: list[float] = []
    top_prefix: int | None = None
    for place in range(min(prefix + 1, shorter)):
        first, second = left.top[place], right.top[place]
        if not first or not second:
            continue
        if top_prefix is None and _likeliest(first) != _likeliest(second):
            top_prefix = place
        kl.append((divergence(first, second) + divergence(second, first)) / 2.0)
    return PairDistance(
        prefix, differences, math.fsum(kl) / len(kl) if kl else None, len(kl), top_prefix
    )


def _at_parting(left: TokenOutput, right: TokenOutput, place: int) -> list[float]:
    """Of the two tokens chosen where the outputs part, those that the other side lists, too."""
    out: list[float] = []
    for side, other in ((left, right), (right, left)):
        listed = other.top[place].get(side.tokens[place])
        if listed is not None:
            out.append(abs(float(side.logprobs[place]) - listed))
    return out


def _likeliest(listed: dict[str, float]) -> str:
    """The likeliest token; of equal ones the first by its text, whatever the order of the list."""
    return min(listed, key=lambda token: (-listed[token], token))


def divergence(first: dict[str, float], second: dict[str, float]) -> float:
    """Kullback-Leibler divergence of ``second`` from ``first``, in nats, from listed candidates.

    Tokens that both list count each by itself; all others together are one outcome with the rest
    of the probability. Joining outcomes never raises a divergence (Cover and Thomas, Elements of
    Information Theory, section 2.9), so this is at most that of the whole vocabulary.
    """
    common = first.keys() & second.keys()
    p = [math.exp(first[token]) for token in common]
    q = [math.exp(second[token]) for token in common]
    p.append(max(_LEAST, 1.0 - math.fsum(p)))
    q.append(max(_LEAST, 1.0 - math.fsum(q)))
    terms = (a * (math.log(a) - math.log(max(b, _LEAST))) for a, b in zip(p, q, strict=True) if a)
    return max(0.0, math.fsum(terms))
