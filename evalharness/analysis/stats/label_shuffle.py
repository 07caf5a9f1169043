"""A permutation test of labels: do repeats with the same label agree more often than by chance?

Where a label (a seed) does nothing, the outputs of one request could have come under its labels in
any order (Fisher's randomisation argument; Good, *Permutation, Parametric and Bootstrap Tests of
Hypotheses*, 3rd ed., 2005, chapter 3). So labels are shuffled among the outputs of each cell, which
is exact for any number of prompts, however skewed the agreement is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DRAWS = 9_999
MIN_DRAWS = 199
_BUDGET = 10_000_000  # labels shuffled in all before fewer shuffles are made: about a second
_BLOCK = 1_000_000  # labels shuffled at a time


def label_permutation(
    cell: Ints, code: Ints, label: Ints, weight: Floats, *, seed: int = 0, draws: int = DRAWS
) -> float | None:
    """One-sided p of "equal outputs share a label no more often than shuffled labels would".

    The statistic is the sum, over all pairs of equal outputs of one cell that share a label, of
    the pair's weight. p is ``(1 + as large) / (1 + draws)`` (Phipson and Smyth, SAGMB 9, 2010).

    Args:
        cell: the cell of each output; labels are shuffled within cells only.
        code: the output, comparable within a cell.
        label: the label of each output, from 0.
        weight: cells × labels, the weight of a pair of equal outputs with this label.
        seed: of the shuffles.
        draws: how many; fewer, but at least 199, where there are more than a thousand outputs.

    Returns:
        None without outputs; 1 where no two outputs of a cell differ.

    """
    if not cell.size:
        return None
    order = np.lexsort((label, code, cell))
    cell, code, label = cell[order], code[order], label[order]
    first = np.r_[True, (cell[1:] != cell[:-1]) | (code[1:] != code[:-1])]
    variant = np.cumsum(first) - 1
    weights = weight[cell[first]]
    observed = float(_statistic(variant, label[None, :], weights)[0])
    slack = 1e-10 * max(1.0, float(np.abs(weights).sum()))
    draws = max(MIN_DRAWS, min(draws, _BUDGET // cell.size))
    rng = np.random.default_rng(seed)
    large = 0
    block = max(1, _BLOCK // max(cell.size, weights.size))
    for start in range(0, draws, block):
        rows = min(block, draws - start)
        shuffled = shuffle_labels(rng, cell, label, rows)
        large += int((_statistic(variant, shuffled, weights) >= observed - slack).sum())
    return (1.0 + large) / (1.0 + draws)


def shuffle_labels(rng: np.random.Generator, cell: Ints, label: Ints, rows: int) -> Ints:
    """The labels shuffled within their cells, once a row of the result; ``cell`` is ascending.

    Sorting by cell, then by random bits, shuffles every cell at once. The label is in the lowest
    bits of what is sorted: integers are sorted several times as fast as their order is found.
    """
    number = np.cumsum(np.r_[False, cell[1:] != cell[:-1]], dtype=np.int64)
    low, high = int(label.max()).bit_length(), int(number[-1]).bit_length()
    bits = 63 - high - low
    keys: Ints = rng.integers(0, 1 << bits, (rows, cell.size))
    keys <<= low
    keys |= (number << (bits + low)) | label
    keys.sort(axis=1)
    keys &= (1 << low) - 1
    return keys


def _statistic(variant: Ints, label: Ints, weights: Floats) -> Floats:
    """Weighted pairs of equal outputs with one label, for each row of ``label``."""
    rows, (variants, labels) = label.shape[0], weights.shape
    row: Ints = np.arange(rows, dtype=np.int64).reshape(-1, 1)
    key: Ints = (row * variants + variant) * labels + label
    count = np.bincount(key.ravel(), minlength=rows * variants * labels)
    pairs = (count * (count - 1) / 2.0).reshape(rows, -1)
    return pairs @ weights.ravel()
