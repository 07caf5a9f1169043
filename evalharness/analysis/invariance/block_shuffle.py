"""Do requests under a load part more often than requests alone do? A test within prompts.

The requests alone are sent in blocks, one before and one after the loads. A prompt's *excess* is
the chance that an output under load differs from one alone, less the chance that two outputs alone,
of different blocks, differ: the difference of two V-type pair means, as in the energy statistics of
Székely and Rizzo (J. Stat. Plan. Inference 143, 2013). It is 0 on average where a prompt's outputs
come with the same chances in all blocks, however noisy they are, and not positive where the server
changes once and for all in between. Under that hypothesis the outputs of a prompt could have come
in any order, so they are dealt to the blocks at random (Fisher's randomisation argument), which is
exact for any number of prompts.

With one block alone, the pairs of that block stand for its noise.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.across.shuffle_test import own_against_across_p
from evalharness.analysis.data.encode import Bools, Floats, Ints

DRAWS = 9_999
_LABELS = 10_000_000  # shuffled in a test before fewer shuffles are made
_BLOCK = 1_000_000  # counts in memory at a time


class BlockOutputs(NamedTuple):
    """The outputs of some prompts, one entry an output.

    Attributes:
        prompt: ascending, from 0.
        code: the output, comparable within a prompt.
        block: 0 up to ``blocks`` - 1 alone, ``blocks`` under load.
        prompts: how many prompts there are.
        blocks: how many blocks alone.
    """

    prompt: Ints
    code: Ints
    block: Ints
    prompts: int
    blocks: int


class BlockDivergence(NamedTuple):
    """Shares of pairs that differ, one entry a prompt; NaN where there is no such pair.

    ``under_load`` is of an output alone and one under load, ``alone`` of two alone, of different
    blocks where there are several, ``within`` of two of one block alone.
    """

    under_load: Floats
    alone: Floats
    within: Floats

    @property
    def excess(self) -> Floats:
        """How much more often an output under load differs."""
        return self.under_load - self.alone


class _Pairs(NamedTuple):
    """How many pairs of each kind there are, as in :class:`BlockDivergence`."""

    under_load: Floats
    alone: Floats
    within: Floats


def block_divergence(outputs: BlockOutputs) -> BlockDivergence:
    """How often outputs of each prompt differ, under load from alone and alone from alone."""
    variant, prompt_of = _variants(outputs)
    counts = _counts(outputs, variant, outputs.block[None, :], prompt_of.size)[0]
    shares: list[Floats] = []
    for equal, total in zip(_pairs(counts, outputs.blocks), _pair_counts(outputs), strict=True):
        sums = np.bincount(prompt_of, equal, minlength=outputs.prompts)
        shares.append(np.where(total > 0, 1.0 - sums / np.maximum(total, 1.0), np.nan))
    return BlockDivergence(*shares)


def block_shuffle_p(outputs: BlockOutputs, *, seed: int = 0, draws: int = DRAWS) -> float | None:
    """One-sided p of "the outputs of each prompt come with the same chances in all blocks".

    The statistic is the sum of the excess over prompts; p is ``(1 + as large) / (1 + draws)``
    (Phipson and Smyth, SAGMB 9, 2010).

    Args:
        outputs: of the prompts.
        seed: of the shuffles.
        draws: how many; fewer, but at least 199, where there are more than a thousand outputs.

    Returns:
        None where no prompt has a pair of both kinds; 1 where no prompt's outputs differ.
    """
    pairs = _pair_counts(outputs)
    enough = (pairs.under_load > 0) & (pairs.alone > 0)
    if not enough.any():
        return None
    variant, prompt_of = _variants(outputs)
    varied = enough & (np.bincount(prompt_of, minlength=outputs.prompts) > 1)
    if not varied.any():
        return 1.0
    some = _of_prompts(outputs, varied)
    variant, prompt_of = _variants(some)
    weights = _Pairs(*(1.0 / np.maximum(total[varied][prompt_of], 1.0) for total in pairs))

    def statistic(block: Ints) -> Floats:
        counts = _counts(some, variant, block, prompt_of.size)
        equal = _pairs(counts, some.blocks)
        return equal.alone @ weights.alone - equal.under_load @ weights.under_load

    observed = float(statistic(some.block[None, :])[0])
    draws = max(199, min(draws, _LABELS // some.prompt.size))
    rng = np.random.default_rng(seed)
    large, size = 0, max(some.prompt.size, prompt_of.size * (some.blocks + 1))
    rows = max(1, _BLOCK // size)
    for start in range(0, draws, rows):
        shuffled = stats.shuffle_labels(rng, some.prompt, some.block, min(rows, draws - start))
        large += int((statistic(shuffled) >= observed - 1e-9).sum())
    return (1.0 + large) / (1.0 + draws)


def blocks_differ_p(outputs: BlockOutputs) -> float | None:
    """One-sided p of "the first and the last block alone give outputs with the same chances".

    Small where the server changed in between, or where the loads left something behind, such as a
    cache of prompts. The test is that of :mod:`evalharness.analysis.across.shuffle_test`.

    Returns:
        None with one block, or where no prompt has two outputs in both.
    """
    if outputs.blocks < 2:
        return None
    variant, prompt_of = _variants(outputs)
    counts = _counts(outputs, variant, outputs.block[None, :], prompt_of.size)[0].astype(np.int64)
    first, last = counts[:, 0], counts[:, outputs.blocks - 1]
    given = first + last > 0
    return own_against_across_p(first[given], last[given], prompt_of[given])


def _of_prompts(outputs: BlockOutputs, chosen: Bools) -> BlockOutputs:
    keep = chosen[outputs.prompt]
    number = np.cumsum(chosen) - 1
    return BlockOutputs(
        number[outputs.prompt[keep]], outputs.code[keep], outputs.block[keep],
        int(chosen.sum()), outputs.blocks,
    )  # fmt: skip


def _variants(outputs: BlockOutputs) -> tuple[Ints, Ints]:
    """The variant of each output, numbered over all prompts, and the prompt of each variant."""
    width = int(outputs.code.max(initial=0)) + 1
    keys = outputs.prompt.astype(np.int64) * width + outputs.code
    distinct, variant = np.unique(keys, return_inverse=True)
    return variant, distinct // width


def _pair_counts(outputs: BlockOutputs) -> _Pairs:
    """How many pairs each prompt has."""
    columns = outputs.blocks + 1
    keys = outputs.prompt.astype(np.int64) * columns + outputs.block
    sizes = np.bincount(keys, minlength=outputs.prompts * columns).astype(np.float64)
    return _pairs(sizes.reshape(outputs.prompts, columns), outputs.blocks)


def _counts(outputs: BlockOutputs, variant: Ints, block: Ints, variants: int) -> Floats:
    """How often each variant is in each block, by row of ``block``: rows × variants × blocks."""
    columns = outputs.blocks + 1
    row = np.arange(block.shape[0], dtype=np.int64)[:, None]
    keys = (row * variants + variant) * columns + block
    counts = np.bincount(keys.ravel(), minlength=block.shape[0] * variants * columns)
    return counts.reshape(block.shape[0], variants, columns).astype(np.float64)


def _pairs(counts: Floats, blocks: int) -> _Pairs:
    """Pairs that blocks of these sizes make; the last axis is the block."""
    alone, loaded = counts[..., :blocks], counts[..., blocks]
    total = alone.sum(axis=-1)
    within = (alone * (alone - 1.0)).sum(axis=-1) / 2.0
    between = (total * (total - 1.0)) / 2.0 - within
    return _Pairs(total * loaded, within if blocks == 1 else between, within)
