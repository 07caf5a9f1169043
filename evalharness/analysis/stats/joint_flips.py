"""Sign flips of many comparisons together: p values adjusted for all of them.

Every pattern of signs changes all comparisons of a family at once, so the largest of their
statistics under a pattern tells what the luckiest of them shows by chance (the maximum method of
Westfall and Young, *Resampling-Based Multiple Testing*, 1993). The chance that any line of a family
is false is at most the level, and comparisons that move together cost less than Holm asks; the
smallest p that few prompts allow does not grow with the number of comparisons.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evalharness.analysis.stats import unit_differences
from evalharness.analysis.stats.sign_patterns import DRAWS, Patterns
from evalharness.analysis.stats.unit_differences import UnitDifferences, is_balanced

Floats = NDArray[np.float64]

_BUDGET = 200_000_000  # pairs × patterns before fewer patterns are tried
_MIN_DRAWS = 999
_SLACK = 1e-9  # of statistics that tie but for rounding


class RankedSettings(NamedTuple):
    """The settings that are ranked by one metric, and the differences to their leader.

    Attributes:
        values: the sum over each unit's prompts of a setting's value less the prompt's mean over
            the settings: units × settings, 0 unknown.
        contrasts: the differences of the others to the leader, by unit.
    """

    values: Floats
    contrasts: list[UnitDifferences]

    @property
    def pairs(self) -> int:
        """Pairs of settings."""
        settings = self.values.shape[1]
        return settings * (settings - 1) // 2


class JointTests(NamedTuple):
    """P values adjusted for all that was tested together, 1 where no unit differs.

    Attributes:
        columns: of the columns.
        contrasts: for each ranking, of its contrasts.
    """

    columns: Floats
    contrasts: list[Floats]


def joint_tests(
    columns: Sequence[UnitDifferences],
    rankings: Sequence[RankedSettings] = (),
    *,
    seed: int = 0,
    draws: int = DRAWS,
) -> JointTests:
    """Adjust the p values of columns and of contrasts with leaders for all of them.

    A leader was chosen for being ahead, so its contrasts are held against the largest difference
    between *any* two settings.

    Args:
        columns: paired differences by unit, all over the same units.
        rankings: of settings over the same units.
        seed: of the patterns.
        draws: how many random patterns.
    """
    tested = [column for column in columns if np.any(column.sums)]
    ranked = [ranking for ranking in rankings if np.any(ranking.values)]
    if not tested and not ranked:
        return JointTests(np.ones(len(columns)), [np.ones(len(r.contrasts)) for r in rankings])
    scaled = [column.sums / _norm(column.sums) for column in tested]
    rows = np.stack([*scaled, *(row for ranking in ranked for row in ranking.values.T)])
    pairs = len(tested) + sum(ranking.pairs for ranking in ranked)
    patterns = Patterns.of(rows.shape[1], max(_MIN_DRAWS, min(draws, _BUDGET // pairs)))
    norms = [_pair_norms(ranking.values) for ranking in ranked]
    ends = np.cumsum([len(tested), *(r.values.shape[1] for r in ranked)])[:-1]
    largest: list[Floats] = []
    for statistics in _statistics(rows, patterns, seed):
        own, *sums = np.split(statistics, ends, axis=1)
        tops = np.abs(own).max(axis=1, initial=0.0)
        for block, norm in zip(sums, norms, strict=True):
            np.maximum(tops, _largest_pair(block, norm), out=tops)
        largest.append(tops)
    ordered = np.sort(np.concatenate(largest))
    return JointTests(
        _p_values(columns, ordered, patterns),
        [_p_values(ranking.contrasts, ordered, patterns) for ranking in rankings],
    )


def _norm(sums: Floats) -> float:
    return float(np.sqrt(sums @ sums))


def _p_values(columns: Sequence[UnitDifferences], ordered: Floats, patterns: Patterns) -> Floats:
    """The p values of columns, from the ordered largest statistics of the patterns."""
    p = np.ones(len(columns))
    for index, column in enumerate(columns):
        norm = _norm(column.sums)
        if norm > 0.0:
            bound = abs(float(column.sums.sum())) / norm - _SLACK
            extreme = ordered.size - np.searchsorted(ordered, bound)
            p[index] = float(patterns.p_value(np.array([extreme]))[0])
    return p


def _pair_norms(values: Floats) -> list[Floats]:
    """For each setting the norms of its differences to those after it; infinite where none."""
    norms: list[Floats] = []
    for first in range(values.shape[1] - 1):
        apart = values[:, first : first + 1] - values[:, first + 1 :]
        squares = np.einsum("ij,ij->j", apart, apart)
        norms.append(np.sqrt(np.where(squares > 0.0, squares, np.inf)))
    return norms


def _largest_pair(sums: Floats, norms: list[Floats]) -> Floats:
    """The largest statistic of any two settings, for each pattern."""
    largest = np.zeros(len(sums))
    for first, norm in enumerate(norms):
        moved = np.abs(sums[:, first : first + 1] - sums[:, first + 1 :])
        np.maximum(largest, (moved / norm).max(axis=1), out=largest)
    return largest


def _statistics(rows: Floats, patterns: Patterns, seed: int) -> Iterator[Floats]:
    """The sums of rows under each pattern of signs: patterns × rows, in blocks."""
    many = rows.shape[1] >= unit_differences.NORMAL_FROM
    if many and patterns.draws is not None and all(map(is_balanced, rows)):
        # Sums of many units under random signs are jointly normal, with these covariances.
        scales, directions = np.linalg.eigh(rows @ rows.T)
        root = directions * np.sqrt(np.maximum(scales, 0.0))
        normal = np.random.default_rng(seed).standard_normal((patterns.draws, len(rows)))
        yield normal @ root.T
        return
    total = rows.sum(axis=1)
    yield from patterns.map(lambda plus: 2.0 * (plus @ rows.T) - total, seed)
