"""Divergence, least stable prompts, the prompt table and breakdowns."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from evalharness.analysis.agreement import divergence
from evalharness.analysis.agreement.breakdowns import breakdowns
from evalharness.analysis.agreement.least_stable import least_stable, prompt_table
from evalharness.analysis.data.pairs import pairs_of_repeats
from tests.analysis_a.build import cell, frame_of


def diverge(rows):
    return divergence.divergence(frame_of(rows))[0]


def prefix(a, b):
    parted = (i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y)
    return next(parted, min(len(a), len(b)))


def test_first_difference_in_characters():
    """Characters are counted, not bytes: "é" is one, and a prefix parts at its end."""
    result = diverge(cell(["éab", "éac"], "p") + cell(["same", "same"], "q"))
    assert result["first_difference_chars"] == 2
    assert result["unequal_pairs"] == 1
    assert diverge(cell(["ab", "abcd"]))["first_difference_chars"] == 2


@given(st.lists(st.text("ab", max_size=3), min_size=2, max_size=8))
def test_divergence_over_all_unequal_pairs(texts):
    """Median prefix and mean edit similarity are over every unequal pair of repeats."""
    result = diverge(cell(texts))
    unequal = [(a, b) for a, b in itertools.combinations(texts, 2) if a != b]
    assert result["unequal_pairs"] == result["pairs"] == len(unequal)
    assert not result["sampled"]
    if not unequal:
        assert result["first_difference_chars"] is None
        assert result["edit_similarity"] is None
        return
    assert result["first_difference_chars"] == np.median([prefix(a, b) for a, b in unequal])
    expected = np.mean([Levenshtein.normalized_similarity(a, b) for a, b in unequal])
    assert result["edit_similarity"] == pytest.approx(expected)


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
    monkeypatch.setattr(divergence, "PAIRS_A_SETTING", (50, 100))
    result = diverge(unstable_rows())
    assert (result["pairs"], result["sampled"]) == (100, True)
    assert diverge(unstable_rows()[::-1]) == result


def test_sampled_pairs_are_fair():
    """A sampled pair of variants comes up in proportion to the pairs of repeats it stands for."""
    frame = frame_of(unstable_rows())
    draws = 40_000
    sample = divergence._sampled_pairs(*sampling_arguments(frame), draws)
    said = np.array(frame.said(frame.output_variants.first))
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
    rows[0]["logprobs"] = logprobs("New", " York")
    rows[1]["logprobs"] = logprobs("New", " Yorkers")
    result = diverge(rows)
    assert result["first_difference_tokens"] == 1
    assert result["token_pairs"] == 1
    assert result["first_difference_chars"] == 0.0


def test_edit_distance_work_is_bounded(monkeypatch):
    """Very long texts stop the edit distances, never the report; the pairs made are told."""
    monkeypatch.setattr(divergence, "EDIT_WORK", 250)
    result = diverge(cell(["a" * 10, "b" * 10, "c" * 10, "d" * 10]))
    assert result["pairs"] == 6
    assert result["edit_pairs"] == 2


def test_least_stable():
    """Worst first, with counts, the two commonest texts and where they part; stable ones never."""
    rows = cell(["xay", "xay", "xbz", "q"], "p") + cell("ssss", "stable") + cell("abcd", "worst")
    rows += cell([None, None, "one"], "alone")
    worst, middle = least_stable(frame_of(rows))
    assert worst["prompt_id"] == "worst"
    assert worst["agreement"] == 0.0
    assert middle["prompt_id"] == "p"
    assert middle["counts"] == [2, 1, 1]
    assert (middle["distinct"], middle["n"]) == (3, 4)
    assert [t["text"] for t in middle["top"]] == ["xay", "xbz"]
    assert [t["count"] for t in middle["top"]] == [2, 1]
    assert middle["first_difference_chars"] == 1
    assert len(least_stable(frame_of(rows), n=1)) == 1


def test_prompt_table():
    """One row for each prompt tried, with its own values."""
    rows = cell(["a", "a", None], "p") + cell("xy", "q", setting_id="other")
    table = prompt_table(frame_of(rows), "s")
    assert table["prompt_id"].tolist() == ["p"]
    assert table["agreement"].tolist() == [1.0]
    assert (table["trials"].item(), table["errors"].item(), table["n"].item()) == (3, 1, 2)
    assert len({len(column) for column in table.values()}) == 1


def groups(rows, name):
    table = breakdowns(frame_of(rows))[0][name]
    return {r["group"]: (r["agreement"], r["pairs"], r["prompts"]) for r in table}


def test_breakdown_by_fingerprint():
    """Pairs are split by whether both carry the same fingerprint; a null is unknown."""
    rows = cell(["a", "a", "b", "a"])
    for r, fingerprint in zip(rows, ["f", "f", "g", None], strict=True):
        r["system_fingerprint"] = fingerprint
    table = groups(rows, "system_fingerprint")
    assert table["equal"] == (1.0, 1, 1)
    assert table["different"] == (0.0, 2, 1)
    assert table["unknown"] == (pytest.approx(2 / 3), 3, 1)
    assert table["both f"] == (1.0, 1, 1)


def test_breakdown_is_a_mean_over_prompts():
    """A prompt with many pairs weighs no more than one with few."""
    rows = cell("aaaa", "p", served_model="m") + cell("xy", "q", served_model="m")
    assert groups(rows, "served_model") == {"equal": (0.5, 7, 2)}


def test_breakdowns_by_circumstance():
    """Time gap, requests in flight, length and cached tokens each sort pairs by their rule."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    rows = cell(["a", "a", "b" * 30])
    for r, gap, in_flight, cached in zip(rows, (0, 5, 7205), (1, 3, 1), (0, 8, None), strict=True):
        r.update(sent_at=start + timedelta(seconds=gap), in_flight=in_flight, cached_tokens=cached)
    assert groups(rows, "time_gap") == {"1-10 s": (1.0, 1, 1), ">= 1 h": (0.0, 2, 1)}
    assert groups(rows, "in_flight") == {"1": (0.0, 1, 1), "2-4": (0.5, 2, 1)}
    assert groups(rows, "output_length") == {"0-20": (1.0, 1, 1), "21-100": (0.0, 2, 1)}
    assert groups(rows, "cached_tokens") == {"one": (1.0, 1, 1), "unknown": (0.0, 2, 1)}


def test_circumstances_are_compared_within_prompts():
    """A prompt is its own control: by hand, with exact sign flips, from six prompts on."""

    def of(prompts: int) -> list[dict[str, Any]]:
        rows = []
        for i in range(prompts):
            # Equal under one fingerprint; across the two one pair of four is equal.
            for text, fingerprint in (("a", "f"), ("a", "f"), ("a", "g"), ("b", "g")):
                rows += cell([text], f"p{i}", system_fingerprint=fingerprint, in_flight=1 + i)
        # A prompt all of whose outputs differ, under one fingerprint: in one group, so in no pair.
        return rows + cell("xy", "alone", system_fingerprint="f", in_flight=1)

    assert breakdowns(frame_of(of(5)))[0]["contrasts"] == []
    # Same fingerprint: ff equal, gg not: 1/2. Different: aa, ab, aa, ab: 1/2. No difference.
    [found] = breakdowns(frame_of(of(6)))[0]["contrasts"]
    assert (found["by"], found["group"], found["against"]) == (
        "system_fingerprint", "different", "equal",
    )  # fmt: skip
    assert (found["difference"], found["prompts"], found["p"]) == (0.0, 6, 1.0)
    rows = [r for i in range(7) for r in cell("aab", f"p{i}", served_model="m")]
    for i, r in enumerate(rows):
        r.update(cached_tokens=0 if i % 3 == 2 else 8, served_model="m" if i % 3 < 2 else "n")
    found = {row["by"]: row for row in breakdowns(frame_of(rows))[0]["contrasts"]}
    # Two patterns of 2^7 are as extreme as -1 throughout; Holm doubles the smaller of two.
    assert found["served_model"]["difference"] == -1.0
    assert found["served_model"]["p"] == 2 / 128
    assert found["served_model"]["p_adjusted"] == 4 / 128
    cached = found["cached_tokens"]
    assert (cached["group"], cached["against"], cached["difference"]) == ("both", "one", 1.0)


@given(st.lists(st.integers(0, 7), min_size=1, max_size=5), st.integers(1, 30))
def test_pairs_of_repeats(sizes, limit):
    """Without a limit every pair of one cell occurs once; with one, only some, and it says."""
    rows = [r for i, n in enumerate(sizes) for r in cell("a" * n, f"p{i}")]
    if not rows:
        return
    frame = frame_of(rows)
    pairs = pairs_of_repeats(frame)
    found = set(zip(pairs.left.tolist(), pairs.right.tolist(), strict=True))
    every = {
        (i, j)
        for i, j in itertools.combinations(range(len(rows)), 2)
        if frame.cell[i] == frame.cell[j]
    }
    assert found == every
    assert pairs.complete
    assert len(pairs.left) == len(every)
    some = pairs_of_repeats(frame, limit)
    chosen = set(zip(some.left.tolist(), some.right.tolist(), strict=True))
    assert chosen <= every
    assert some.complete == (chosen == every)
    assert chosen or not every
