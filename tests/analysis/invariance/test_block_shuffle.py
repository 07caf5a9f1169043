"""The test of outputs under load against outputs alone."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.analysis.invariance.block_shuffle import (
    BlockOutputs,
    block_divergence,
    block_shuffle_p,
    blocks_differ_p,
)

Parts = list[list[int]]  # the outputs of each block alone, then of the load


def outputs_of(prompts: list[Parts], blocks: int) -> BlockOutputs:
    rows = [
        (number, code, block)
        for number, parts in enumerate(prompts)
        for block, codes in enumerate(parts)
        for code in codes
    ]
    prompt, code, block = np.array(rows, np.int64).T
    return BlockOutputs(prompt, code, block, len(prompts), blocks)


def brute_excess(parts: Parts, blocks: int) -> float:
    """By the definition: every pair, one after the other."""
    alone = [(block, code) for block in range(blocks) for code in parts[block]]
    load = [code != other for _, code in alone for other in parts[blocks]]
    own = [
        a != b
        for i, (block, a) in enumerate(alone)
        for other, b in alone[i + 1 :]
        if blocks == 1 or block != other
    ]
    return float(np.mean(load) - np.mean(own))


@given(
    blocks=st.integers(1, 3),
    data=st.data(),
)
def test_the_excess_is_that_of_all_pairs(blocks: int, data: st.DataObject) -> None:
    part = st.lists(st.integers(0, 2), min_size=2, max_size=3)
    parts = data.draw(st.lists(part, min_size=blocks + 1, max_size=blocks + 1))
    found = block_divergence(outputs_of([parts], blocks)).excess
    assert found == pytest.approx([brute_excess(parts, blocks)])


def test_p_is_that_of_every_way_to_deal_the_outputs() -> None:
    """One prompt with few outputs has so few ways that all can be tried."""
    parts: Parts = [[0], [0, 1], [1, 1]]
    codes = [code for each in parts for code in each]
    ways = [brute_excess([[a[0]], list(a[1:3]), list(a[3:])], 2) for a in permutations(codes)]
    exact = np.mean(np.array(ways) >= brute_excess(parts, 2) - 1e-9)
    p = block_shuffle_p(outputs_of([parts], 2))
    assert p == pytest.approx(exact, abs=0.02)


def test_a_server_that_changes_once_is_not_one_that_depends_on_its_load() -> None:
    changed = outputs_of([[[0, 0], [1, 1], [0, 0]]] * 30, 2)
    depends = outputs_of([[[0, 0], [0, 0], [1, 1]]] * 30, 2)
    assert (block_divergence(changed).excess < 0).all()
    assert (block_shuffle_p(changed) or 0.0) > 0.9
    assert (blocks_differ_p(changed) or 1.0) < 0.001
    assert blocks_differ_p(depends) == 1.0
    assert (block_shuffle_p(depends) or 1.0) < 0.001


def test_without_repeats_alone_nothing_is_tested() -> None:
    assert block_shuffle_p(outputs_of([[[0], [1]], [[0], [0]]], 1)) is None
    assert block_shuffle_p(outputs_of([[[0], [0], [0]]], 2)) == 1.0
