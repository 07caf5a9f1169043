"""Figures of papers on nondeterminism, against what a reader counts."""

from __future__ import annotations

import numpy as np
import pytest

from evalharness.analysis.agreement.repeat_divergence import repeat_divergence
from evalharness.analysis.stats import deviation_ci
from tests.analysis.record_frames import cell, frame_of


def test_where_repeats_part() -> None:
    rows = [
        *cell(["the cat sat", "the cat ran", "a dog"], "p", completion_tokens=3),
        *cell(["same words here"] * 3, "q", completion_tokens=3),
        *cell(["one two three", "one two four", "one two three"], "r", completion_tokens=3),
    ]
    (row,) = repeat_divergence(frame_of(rows))
    assert (row.n, row.prompts, row.parted, row.compared) == (3, 3, 2, 2)
    assert row.unique == pytest.approx((3 + 1 + 2) / 3)
    assert row.words is not None
    assert (row.words.prompts, row.words.earliest, row.words.median) == (2, 0, 1.0)
    assert row.chars is not None
    assert row.chars.earliest == 0
    assert (row.tokens, row.div_index) == (None, None)
    assert row.std_tokens == 0.0


def test_single_repeats_are_in_no_row() -> None:
    assert repeat_divergence(frame_of(cell(["text"], "p"))) == []


def test_std_acc_is_over_runs() -> None:
    """The k-th repeats are one run; prompts that a run did not score are in none."""
    rows = [
        *cell(["a", "b", "c"], "p"),
        *cell(["a", "b", "c"], "q"),
    ]
    scores = [1.0, 0.0, 1.0, 1.0, 0.0, 0.0]
    for row, score in zip(rows, scores, strict=True):
        row["score"] = score
    (row,) = repeat_divergence(frame_of(rows, targets={"p": "a", "q": "a"}))
    assert row.std_acc == pytest.approx(np.std([1.0, 0.0, 0.5], ddof=1))
    assert (row.acc_runs, row.acc_prompts) == (3, 2)


def test_the_interval_of_a_standard_deviation() -> None:
    """Of ten normal values with s = 1: the chi-square table's 2.700 and 19.023."""
    low, high = deviation_ci(1.0, 10) or (0.0, 0.0)
    assert (low, high) == pytest.approx(((9 / 19.023) ** 0.5, (9 / 2.700) ** 0.5), rel=1e-3)
    assert deviation_ci(0.0, 10) is None
