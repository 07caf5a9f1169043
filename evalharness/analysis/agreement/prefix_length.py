"""How much outputs have in common before they part."""

from __future__ import annotations

import msgspec
import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.data.encode import Ints


class PrefixLength(msgspec.Struct, frozen=True, kw_only=True):
    """How much two outputs have in common before they part, over prompts.

    Of a prompt the pair counts that parts first.

    Attributes:
        prompts: how many it is known for.
        earliest: the smallest; null without prompts.
        median: of the prompts; null without prompts.
        median_ci95: its interval; null where the prompts are too few to bound it.
    """

    prompts: int
    earliest: int | None
    median: float | None
    median_ci95: list[float] | None


def common_words(left: str, right: str) -> int:
    """How many words the two begin with alike."""
    first, second = left.split(), right.split()
    same = (i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b)
    return next(same, min(len(first), len(second)))


def shortest_by_prompt(lengths: Ints, prompts: Ints) -> tuple[Ints, Ints]:
    """The numbers of the prompts, ascending, and the shortest length of each.

    Args:
        lengths: of pairs that differ.
        prompts: the number of the prompt of each.
    """
    numbers, group = np.unique(prompts, return_inverse=True)
    shortest = np.full(len(numbers), np.iinfo(np.int64).max)
    np.minimum.at(shortest, group, lengths)
    return numbers, shortest


def prefix_lengths(lengths: Ints, prompts: Ints) -> PrefixLength:
    """Describe lengths in common, of each prompt the shortest.

    Args:
        lengths: of pairs that differ.
        prompts: the number of the prompt of each.
    """
    if not lengths.size:
        return PrefixLength(prompts=0, earliest=None, median=None, median_ci95=None)
    _, shortest = shortest_by_prompt(lengths, prompts)
    values = shortest.astype(np.float64)
    (median,) = stats.quantiles(values, np.arange(values.size), values.size, (0.5,))
    return PrefixLength(
        prompts=values.size,
        earliest=int(shortest.min()),
        median=median.value,
        median_ci95=None if median.ends is None else list(median.ends),
    )
