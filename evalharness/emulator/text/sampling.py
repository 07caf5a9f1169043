"""Distributions to sample from: softmax at a temperature, cut to the nucleus."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

import msgspec

NEVER = -9999.0  # how the API writes the logarithm of "practically impossible"


class TokenDistribution(msgspec.Struct, frozen=True, gc=False):
    """What is sampled at one step; entries are ordered from most to least likely.

    Attributes:
        order: indices of the candidates.
        cumulative: running sums of the probabilities of those that can be drawn; the last is 1.
        logprobs: natural logarithms of the probabilities sampled with, ``-9999`` for those that
            cannot be drawn. At temperature 0, where nothing is drawn, those at temperature 1.
    """

    order: list[int]
    cumulative: list[float]
    logprobs: list[float]


def distribution(logits: Sequence[float], temperature: float, top_p: float) -> TokenDistribution:
    """softmax(logits / temperature), cut to the smallest head whose mass reaches ``top_p``.

    The cut is nucleus sampling as Holtzman et al. (2020) define it: the most likely candidates
    until their probabilities sum to at least ``top_p``, renormalised. Temperature 0 is the limit:
    all mass on the most likely candidate. Ties go to the smaller index.
    """
    order = sorted(range(len(logits)), key=lambda i: (-logits[i], i))
    probabilities = _softmax([logits[i] for i in order], temperature or 1.0)
    if not temperature:
        return TokenDistribution(order, [1.0], [_log(p) for p in probabilities])
    nucleus = 0
    mass = 0.0
    for probability in probabilities:
        nucleus += 1
        mass += probability
        if mass >= top_p:
            break
    cumulative = [c / mass for c in accumulate(probabilities[:nucleus])]
    cumulative[-1] = 1.0
    logprobs = [_log(p / mass) for p in probabilities[:nucleus]]
    logprobs += [NEVER] * (len(order) - nucleus)
    return TokenDistribution(order, cumulative, logprobs)


def _softmax(descending: list[float], temperature: float) -> list[float]:
    highest = descending[0]
    weights = [math.exp((logit - highest) / temperature) for logit in descending]
    total = sum(weights)
    return [weight / total for weight in weights]


def _log(p: float) -> float:
    return math.log(p) if p > 0 else NEVER
