"""Counts of output variants in cells, and the agreement figures that follow from them.

A *cell* is one prompt under one setting; ``n`` are its usable repeats, ``c`` the repeats that gave
one variant. All figures here are a cell's own value; the figure of a setting is their mean over
prompts. Cells are numbered ``setting * prompts + prompt``; every result has one entry a cell and
NaN where the cell has too few repeats to have the figure.
"""

from __future__ import annotations

from itertools import pairwise as neighbours

import msgspec
import numpy as np

from evalharness.analysis.data.encode import Bools, Floats, Ints, narrow

_PART_ROWS = 1_000_000  # counted at a time


class VariantCounts(msgspec.Struct, frozen=True, eq=False):
    """How often each cell gave each of its variants.

    Attributes:
        n: usable repeats of each cell.
        cell: the cell of each variant.
        count: repeats that gave the variant.
        first: the first row (in the frame's order) that gave it; variants are ordered by it.

    """

    n: Ints
    cell: Ints
    count: Ints
    first: Ints


def count_variants(cell: Ints, code: Ints, cells: int, rows: Bools | None = None) -> VariantCounts:
    """Count variants; a negative code is a variant of its own, equal to nothing.

    Args:
        cell: the cell of each row, ascending.
        code: the output of each row; comparable within a cell.
        cells: how many cells there are.
        rows: which rows count, None for all.

    """
    counted = [
        _count_part(cell[part], code[part], None if rows is None else rows[part], part.start)
        for part in _parts(cell)
    ]
    n = np.zeros(cells, np.int64)
    for part in _parts(cell):
        cells_in_part = cell[part] if rows is None else cell[part][rows[part]]
        if len(cells_in_part):  # ascending, so few cells are counted at a time
            low = int(cells_in_part.min())
            repeats = np.bincount(cells_in_part - low)
            n[low : low + len(repeats)] += repeats
    cell_of, count, first = (np.concatenate(parts) for parts in zip(*counted, strict=True))
    return VariantCounts(n=n, cell=narrow(cell_of), count=narrow(count), first=narrow(first))


def _parts(cell: Ints) -> list[slice]:
    """Rows cut between cells, about :data:`_PART_ROWS` at a time, where cells are in order."""
    if len(cell) <= _PART_ROWS or np.any(cell[1:] < cell[:-1]):
        return [slice(0, len(cell))]
    cells_at_cuts = cell[_PART_ROWS::_PART_ROWS]
    cuts = [0, *np.unique(np.searchsorted(cell, cells_at_cuts)).tolist(), len(cell)]
    return [slice(start, stop) for start, stop in neighbours(cuts) if start < stop]


def _count_part(cell: Ints, code: Ints, rows: Bools | None, start: int) -> tuple[Ints, Ints, Ints]:
    """Cell, count and first row of each variant, by the first row; rows count from ``start``."""
    index = np.arange(len(cell)) if rows is None else np.flatnonzero(rows)
    cell, code = cell[index], code[index]
    width = int(code.max(initial=-1)) + 1 + len(code)
    key = cell.astype(np.int64)
    key *= width
    key += np.where(code < 0, width - 1 - np.arange(len(code)), code)
    order = np.argsort(key)  # not the stable sort, which takes several times as long
    ordered = key[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]][: len(ordered)])
    count = np.diff(np.r_[starts, len(ordered)])
    first = np.minimum.reduceat(order, starts) if len(starts) else starts
    by_first = np.argsort(first)
    first = first[by_first]
    return cell[first], count[by_first], index[first] + start


def _where_enough(values: Floats, n: Ints) -> Floats:
    """Values of the cells with at least two repeats, NaN for the others."""
    return np.where(n >= 2, values, np.nan)


def pairwise_agreement(v: VariantCounts, repeats: Ints | None = None) -> Floats:
    """Share of equal pairs of repeats, ``sum c(c-1) / n(n-1)``; null below two repeats.

    ``repeats`` is the n of each cell where it has further repeats, each a variant of its own.
    """
    n = v.n if repeats is None else repeats
    count = v.count.astype(np.float64)
    equal = np.bincount(v.cell, count * (count - 1), minlength=len(v.n))
    all_pairs = n.astype(np.float64) * (n - 1.0)
    return _where_enough(equal / np.where(n >= 2, all_pairs, 1.0), n)


def modal_share(v: VariantCounts) -> Floats:
    """Share of the cell's repeats that gave its commonest variant; null below two."""
    top = np.zeros(len(v.n))
    np.maximum.at(top, v.cell, v.count)
    return _where_enough(top / np.maximum(v.n, 1), v.n)


def distinct_outputs(v: VariantCounts) -> Floats:
    """Number of different variants the cell gave; null below two repeats."""
    return _where_enough(np.bincount(v.cell, minlength=len(v.n)).astype(np.float64), v.n)


def effective_outputs(v: VariantCounts) -> Floats:
    """``exp(H)`` with ``H = -sum p ln p``, ``p = c/n``: "behaves like 1.4 outputs"; null below two.

    Equal to the Vendi score under an exact-match kernel. Biased low for few repeats.
    """
    p = v.count / v.n[v.cell]
    entropy = np.bincount(v.cell, -p * np.log(p), minlength=len(v.n))
    return _where_enough(np.exp(np.maximum(entropy, 0.0)), v.n)


def tar(v: VariantCounts, setting: Ints, settings: int) -> tuple[list[Floats], list[Ints]]:
    """Total agreement rate (TAR) of each setting, rarefied, for every k from 2 to its largest n.

    ``TAR@k = mean over prompts of sum_v C(c, k) / C(n, k)``: the chance that k repeats drawn
    without replacement are all equal (k = 2 is pairwise agreement). Prompts with fewer than k
    usable repeats are left out of that k.

    Args:
        v: counted variants.
        setting: the setting of each cell.
        settings: how many settings there are.

    Returns:
        ``(values, prompts)``: lists indexed by ``k - 2``, one entry a setting each; values are NaN
        where no prompt has k repeats, ``prompts`` says how many have.

    """
    values: list[Floats] = []
    prompts: list[Ints] = []
    cell, count = v.cell, v.count
    chance = np.ones(len(v.cell))
    largest = int(v.n.max(initial=0))
    enough = np.flatnonzero(v.n >= 1)
    for k in range(2, largest + 1):
        keep = count >= k
        cell, count, chance = cell[keep], count[keep], chance[keep]
        # C(c,k)/C(n,k) = product of (c-i)/(n-i) for i < k; the factor i = 0 joins at k = 2.
        n = v.n[cell]
        if k == 2:
            chance = count / n
        chance = chance * ((count - k + 1) / (n - k + 1))
        enough = enough[v.n[enough] >= k]
        with_k = np.bincount(setting[enough], minlength=settings)
        total = np.bincount(setting[cell], chance, minlength=settings)
        values.append(np.where(with_k > 0, total / np.maximum(with_k, 1), np.nan))
        prompts.append(with_k)
    return values, prompts
