"""Pairs of repeats of the same request: what breakdowns of agreement are made over."""

from __future__ import annotations

import msgspec
import numpy as np

from evalharness.analysis.data.encode import Floats, Ints, narrow
from evalharness.analysis.data.frame import Frame

LIMIT = 2_000_000  # pairs looked at in a run
BLOCK = 2_000_000  # of them at a time


class Pairs(msgspec.Struct, frozen=True, eq=False):
    """Pairs of records with known outputs in one cell, by place in the frame's order.

    Attributes:
        left: the earlier repeat of each pair.
        right: the later one.
        place: the cell both belong to; for those of equal outputs, as many more as there are cells.
        complete: whether these are all pairs there are.

    """

    left: Ints
    right: Ints
    place: Ints
    complete: bool


def pairs_of_repeats(frame: Frame, limit: int = LIMIT) -> Pairs:
    """Pair the repeats of every cell: all pairs, or, past ``limit``, those at chosen distances.

    Distances (second place minus first, in order of repeats) are spread evenly from nearest to
    farthest, so that near and far repeats are both represented; the choice is fixed, not drawn.
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
    chosen = _distances(at_distance[:widest], limit)
    for distance in chosen.tolist():
        here = narrow(np.flatnonzero(cell[:-distance] == cell[distance:]))
        lefts.append(here)
        rights.append(here + distance)
    earlier = np.concatenate(lefts)
    left, right = rows[earlier], rows[np.concatenate(rights)]
    place = (frame.output[left] == frame.output[right]) * frame.cells
    place += cell[earlier]
    return Pairs(left=left, right=right, place=place, complete=len(chosen) == max(widest, 0))


def _distances(sizes: Ints, limit: int) -> Ints:
    """Choose distances 1, 2, …: all when their pairs fit the limit, else evenly spread ones."""
    total = int(sizes.sum())
    if total <= limit:
        return np.arange(1, len(sizes) + 1)
    keep = max(1, int(len(sizes) * limit / total))
    return np.unique(np.linspace(1, len(sizes), keep).round().astype(np.int64))


def counted(pairs: Pairs, group: Ints, groups: int, cells: int) -> tuple[Ints, Ints]:
    """Count pairs, and equal pairs, by group and cell.

    Args:
        pairs: the pairs.
        group: the group of each; -1: in none.
        groups: how many groups there are.
        cells: how many cells there are.

    Returns:
        Two arrays, groups × cells.

    """
    # Those in no group are counted as group 0, which costs less than picking the others.
    size = 2 * cells * (groups + 1)
    found = np.zeros(0, np.int64)
    for start in range(0, max(1, len(group)), BLOCK):
        part = slice(start, start + BLOCK)
        place = group[part].astype(np.int64)
        place += 1
        place *= 2 * cells
        place += pairs.place[part]
        here = np.bincount(place, minlength=size)
        found = here if start == 0 else found + here
    unequal, same = found.reshape(groups + 1, 2, cells)[1:].swapaxes(0, 1)
    return unequal + same, same


def mean_agreement(every: Ints, same: Ints, prompts: int) -> tuple[Floats, Ints, Ints]:
    """Agreement over some pairs: per setting, the mean over prompts of the share equal.

    Args:
        every: how many of the pairs each cell has.
        same: how many of them are equal.
        prompts: how many cells a setting has.

    Returns:
        ``(agreement, pairs, prompts)``, one entry a setting; agreement is NaN without pairs.

    """
    settings = len(every) // max(1, prompts)
    used = np.flatnonzero(every)
    setting = used // prompts
    with_pairs = np.bincount(setting, minlength=settings)
    total = np.bincount(setting, same[used] / every[used], minlength=settings)
    share = np.where(with_pairs > 0, total / np.maximum(with_pairs, 1), np.nan)
    return share, every.reshape(settings, prompts).sum(axis=1), with_pairs
