"""Pairs of repeats of the same request, over which agreement is broken down."""

from __future__ import annotations

import msgspec
import numpy as np

from evalharness.analysis.data.encode import Floats, Ints, narrow
from evalharness.analysis.data.frame import RunFrame

MAX_PAIRS = 2_000_000  # compared in a run
BLOCK_PAIRS = 2_000_000  # counted at a time


class RepeatPairs(msgspec.Struct, frozen=True, eq=False):
    """Pairs of records of one cell with known outputs, by position in the frame.

    Attributes:
        left: the earlier repeat of each pair.
        right: the later one.
        cell_code: the cell both belong to, plus the number of cells where their outputs are equal.
        complete: whether these are all pairs of the run.

    """

    left: Ints
    right: Ints
    cell_code: Ints
    complete: bool


def pairs_of_repeats(frame: RunFrame, limit: int = MAX_PAIRS) -> RepeatPairs:
    """Pair the repeats of each cell: all pairs, or, past ``limit``, those at some distances.

    Distances (the later position minus the earlier, in order of repeats) are spread evenly from
    nearest to farthest, so that near and far repeats are both represented; the choice is fixed, not
    drawn.
    """
    rows = narrow(np.flatnonzero(frame.known))
    cell = frame.cell[rows]
    n = np.bincount(cell, minlength=1)
    widest = int(n.max(initial=0)) - 1
    # How many pairs lie at each distance: a cell with n repeats has n - d at distance d.
    sizes = np.bincount(n)
    at_least = np.cumsum(sizes[::-1])[::-1]  # cells with at least so many repeats
    at_distance = np.cumsum(at_least[::-1])[::-1][2:]  # sum over cells of max(n - d, 0), d >= 1
    lefts: list[Ints] = [np.zeros(0, np.int32)]
    rights: list[Ints] = [np.zeros(0, np.int32)]
    distances = _distances(at_distance[:widest], limit)
    for distance in distances.tolist():
        first = narrow(np.flatnonzero(cell[:-distance] == cell[distance:]))
        lefts.append(first)
        rights.append(first + distance)
    earlier = np.concatenate(lefts)
    left, right = rows[earlier], rows[np.concatenate(rights)]
    cell_code = (frame.output[left] == frame.output[right]) * frame.cells
    cell_code += cell[earlier]
    complete = len(distances) == max(widest, 0)
    return RepeatPairs(left=left, right=right, cell_code=cell_code, complete=complete)


def _distances(sizes: Ints, limit: int) -> Ints:
    """Distances from 1 on: all when their pairs fit the limit, else evenly spread ones."""
    total = int(sizes.sum())
    if total <= limit:
        return np.arange(1, len(sizes) + 1)
    keep = max(1, int(len(sizes) * limit / total))
    return np.unique(np.linspace(1, len(sizes), keep).round().astype(np.int64))


def count_pairs(pairs: RepeatPairs, group: Ints, groups: int, cells: int) -> tuple[Ints, Ints]:
    """Count pairs, and equal pairs, by group and cell.

    Args:
        pairs: the pairs.
        group: the group of each; -1: in none.
        groups: how many groups there are.
        cells: how many cells there are.

    Returns:
        Two arrays, groups × cells.

    """
    # Pairs in no group are counted as group 0, which costs less than selecting the others.
    size = 2 * cells * (groups + 1)
    counts = np.zeros(0, np.int64)
    for start in range(0, max(1, len(group)), BLOCK_PAIRS):
        part = slice(start, start + BLOCK_PAIRS)
        code = group[part].astype(np.int64)
        code += 1
        code *= 2 * cells
        code += pairs.cell_code[part]
        block = np.bincount(code, minlength=size)
        counts = block if start == 0 else counts + block
    unequal, same = counts.reshape(groups + 1, 2, cells)[1:].swapaxes(0, 1)
    return unequal + same, same


def mean_agreement(pairs: Ints, same: Ints, prompts: int) -> tuple[Floats, Ints, Ints]:
    """Agreement of each setting over some pairs: the mean over prompts of the equal share.

    Args:
        pairs: how many pairs each cell has.
        same: how many of them are equal.
        prompts: how many cells a setting has.

    Returns:
        ``(agreement, pairs, prompts)``, one entry a setting; agreement is NaN without pairs.

    """
    settings = len(pairs) // max(1, prompts)
    used = np.flatnonzero(pairs)
    setting = used // prompts
    with_pairs = np.bincount(setting, minlength=settings)
    total = np.bincount(setting, same[used] / pairs[used], minlength=settings)
    share = np.where(with_pairs > 0, total / np.maximum(with_pairs, 1), np.nan)
    return share, pairs.reshape(settings, prompts).sum(axis=1), with_pairs
