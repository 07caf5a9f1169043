"""Scores, pass@k, pass^k, and what a single run hides."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.analysis import stats
from evalharness.analysis.quality import PassCounts, g_pass_curves, pass_curves, quality
from evalharness.analysis.stats import g_pass_at_k, pass_at_k, pass_hat_k
from tests.analysis.record_frames import cell, frame_of, summary_of


def scored(prompts):
    return [
        {"prompt_id": f"p{i:02d}", "text": "x", "score": float(s)}
        for i, scores in enumerate(prompts)
        for s in scores
    ]


def score(rows, **kwargs):
    return summary_of(frame_of(rows, **kwargs))[0].score


def test_mean_over_prompts_of_means_over_repeats():
    """Prompts weigh alike: (1 + 0 + 1/2) / 3, not 3 of 7 rows."""
    result = score(scored([[1], [0, 0, 0, 0], [1, 0]]))
    assert result.mean == pytest.approx(0.5)
    assert result.ci95 == pytest.approx(list(stats.mean_ci([1.0, 0.0, 0.5])))
    assert (result.prompts, result.n) == (3, 7)


@given(
    st.lists(st.lists(st.booleans(), min_size=1, max_size=6), min_size=1, max_size=5),
)
def test_pass_k_equals_enumeration(prompts):
    """pass^k and pass@k are the shares of k-subsets that are all right, and any right."""
    result = score(scored(prompts))
    n = max(map(len, prompts))
    assert list(result.pass_hat_k) == [str(k) for k in range(1, n + 1)]
    for k in range(1, n + 1):
        subsets = [list(combinations(p, k)) for p in prompts if len(p) >= k]
        hat = np.mean([np.mean([all(s) for s in own]) for own in subsets])
        at = np.mean([np.mean([any(s) for s in own]) for own in subsets])
        assert result.pass_hat_k[str(k)] == pytest.approx(hat, abs=1e-12)
        assert result.pass_at_k[str(k)] == pytest.approx(at, abs=1e-12)


def test_errors_are_not_scored():
    """An error's score, even one supplied, is in no mean."""
    rows = [*scored([[1, 0]]), {"prompt_id": "p00", "status": "error", "score": 1.0}]
    assert score(rows).mean == 0.5
    assert score(rows).n == 2


def test_refused_counts_zero_with_a_target_only():
    """A refusal is a failure where there was a right answer, and not scored where none was."""
    rows = [
        {"prompt_id": "p", "text": "x", "score": 1.0},
        {"prompt_id": "p", "text": "no", "status": "refused"},
    ]
    assert score(rows, targets={"p": '"x"'}).mean == 0.5
    assert score(rows).mean == 1.0


def test_null_scores_are_left_out_of_n():
    """Unscored records are not zeros, and a k with too few scored repeats is null."""
    rows = [*scored([[1, 0]]), {"prompt_id": "p00", "text": "x"}]
    result = score(rows)
    assert result.mean == 0.5
    assert result.pass_at_k == {"1": 0.5, "2": 1.0, "3": None}


def test_no_scorer():
    """Without scores every figure is null."""
    result = score(cell("ab"))
    assert result.mean is None
    assert result.ci95 is None
    assert result.pass_hat_k == {}


def test_scorers_given_stand_over_the_column():
    """A configured scorer replaces the imported score; the first is primary, others by name."""
    frame = frame_of(
        scored([[1, 1]]), scores={"exact": np.array([0.0, 0.0]), "f1": np.array([0.5, np.nan])}
    )
    row = summary_of(frame)[0]
    assert row.score.mean == 0.0
    assert row.scores["f1"].mean == 0.5
    assert quality(frame, "f1")[0].n == 1


def test_run_range():
    """Repeat means 2/3, 1/3, 1/3 over three prompts; best possible 2/3, worst 1/3."""
    runs = score(scored([[1, 0, 0], [1, 1, 1], [0, 0, 0]])).runs
    assert (runs.highest, runs.lowest) == (pytest.approx(2 / 3), pytest.approx(1 / 3))
    assert runs.range == pytest.approx(1 / 3)
    assert (runs.best_possible, runs.worst_possible) == (
        pytest.approx(2 / 3),
        pytest.approx(1 / 3),
    )
    assert (runs.prompts, runs.repeats) == (3, 3)


def test_run_range_needs_complete_repeats():
    """A prompt that misses a repeat is left out and the number left is told; one repeat is null."""
    runs = score(scored([[1, 0], [1]])).runs
    assert runs.prompts == 1
    assert runs.range == 1.0
    assert score(scored([[1], [0]])).runs is None


def test_pass_curves_are_those_of_the_statistics() -> None:
    """Mean over prompts with enough repeats, for pass^k, pass@k and G-Pass@k alike."""
    right, scored_ = np.array([3, 1, 0, 2]), np.array([4, 4, 4, 2])
    kinds = PassCounts.of(right, scored_)
    hat, at = pass_curves(kinds, 4)
    g = g_pass_curves(kinds, 4)
    for k in range(1, 5):
        enough = scored_ >= k
        for curve, value in (
            (hat, pass_hat_k(scored_, right, k)), (at, pass_at_k(scored_, right, k)),
            (g["0.5"], g_pass_at_k(scored_, right, k, 0.5)),
            (g["0.75"], g_pass_at_k(scored_, right, k, 0.75)), (g["1"], hat[str(k)]),
        ):  # fmt: skip
            wanted = value if isinstance(value, float) else float(np.mean(value[enough]))
            assert curve[str(k)] == pytest.approx(wanted)
