"""Divergence of unequal outputs: where they part, over all pairs or a sample."""

from __future__ import annotations

import itertools
import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from evalharness.analysis.agreement import divergence
from evalharness.analysis.data.output_texts import joined_text
from tests.analysis.record_frames import cell, frame_of


def diverge(rows):
    return divergence.divergence(frame_of(rows))[0]


def prefix(a, b):
    parted = (i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y)
    return next(parted, min(len(a), len(b)))


def test_first_difference_in_characters():
    """Characters are counted, not bytes: "é" is one, and a prefix parts at its end."""
    result = diverge(cell(["éab", "éac"], "p") + cell(["same", "same"], "q"))
    assert result.first_difference_chars == 2
    assert result.unequal_pairs == 1
    assert diverge(cell(["ab", "abcd"])).first_difference_chars == 2


@given(st.lists(st.text("ab", max_size=3), min_size=2, max_size=8))
def test_divergence_over_all_unequal_pairs(texts):
    """Median prefix and mean edit similarity are over every unequal pair of repeats."""
    result = diverge(cell(texts))
    unequal = [(a, b) for a, b in itertools.combinations(texts, 2) if a != b]
    assert result.unequal_pairs == result.pairs == len(unequal)
    assert not result.sampled
    if not unequal:
        assert result.first_difference_chars is None
        assert result.edit_similarity is None
        return
    assert result.first_difference_chars == np.median([prefix(a, b) for a, b in unequal])
    expected = np.mean([Levenshtein.normalized_similarity(a, b) for a, b in unequal])
    assert result.edit_similarity == pytest.approx(expected)


def unstable_rows():
    texts = ["a" * 9, "a" * 9, "b", "ac", "a" * 8 + "z"]
    rows = [r for i in range(30) for r in cell(texts, f"p{i}")]
    return [{**row, "repeat": i % 5} for i, row in enumerate(rows)]


def test_sampled_pairs_are_bounded_unequal_and_free_of_row_order(monkeypatch):
    """Past the limit a fixed sample of unequal pairs of one cell stands for all of them."""
    frame = frame_of(unstable_rows())
    left, right, total = divergence._unequal_pairs(frame, 0, 100)
    assert total == 30 * 9
    assert len(left) == 100
    assert (frame.cell[left] == frame.cell[right]).all()
    assert (frame.output[left] != frame.output[right]).all()
    monkeypatch.setattr(divergence, "PAIRS_PER_SETTING", (50, 100))
    result = diverge(unstable_rows())
    assert (result.pairs, result.sampled) == (100, True)
    assert diverge(unstable_rows()[::-1]) == result


def test_sampled_pairs_are_fair():
    """A sampled pair of variants comes up in proportion to the pairs of repeats it stands for."""
    frame = frame_of(unstable_rows())
    draws = 40_000
    sample = divergence._sampled_pairs(*sampling_arguments(frame), draws)
    said = np.array(joined_text(frame, frame.output_variants.first))
    seen = Counter(frozenset(pair) for pair in zip(*(said[side] for side in sample), strict=True))
    counts = frame.output_variants.count
    for i, j in itertools.combinations(range(4), 2):
        expected = counts[i] * counts[j] / 9
        assert seen[frozenset((said[i], said[j]))] / draws == pytest.approx(expected, abs=0.02)


def sampling_arguments(frame):
    v = frame.output_variants
    return v.cell, v.count, v.n[v.cell]


def test_tokens_where_logprobs_give_them():
    """The first differing token is found where both repeats carry logprobs."""

    def logprobs(*tokens):
        return json.dumps({"content": [{"token": t, "logprob": -0.1} for t in tokens]})

    rows = cell(["New York", "New Yorkers", "new"])
    rows[0]["logprobs_json"] = logprobs("New", " York")
    rows[1]["logprobs_json"] = logprobs("New", " Yorkers")
    result = diverge(rows)
    assert result.first_difference_tokens == 1
    assert result.token_pairs == 1
    assert result.first_difference_chars == 0.0


def test_edit_distance_work_is_bounded(monkeypatch):
    """Very long texts stop the edit distances, never the report; the pairs made are told."""
    monkeypatch.setattr(divergence, "EDIT_WORK", 250)
    result = diverge(cell(["a" * 10, "b" * 10, "c" * 10, "d" * 10]))
    assert result.unequal_pairs == result.pairs == 6
    assert result.edit_pairs == 2
    assert result.sampled
