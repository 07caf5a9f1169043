"""Agreement by definition: textbook cells, edge rules, brute force."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.analysis import stats
from evalharness.analysis.summary import AnswerGaps
from tests.analysis.record_frames import cell, frame_of, summary_of


def row(rows, **kwargs):
    return summary_of(frame_of(rows, **kwargs))[0]


def raw(rows, **kwargs):
    return row(rows, **kwargs).agreement.raw


def brute_tar(outputs, k):
    """Share of the k-subsets of repeats that are all equal."""
    subsets = list(combinations(outputs, k))
    return sum(len(set(s)) == 1 for s in subsets) / len(subsets)


def test_textbook_cell():
    """Outputs a a a b b: pairwise 4/10, TAR@3 1/10, modal share 3/5, by hand."""
    r = row(cell("aaabb"))
    agreement = r.agreement.raw
    assert agreement.pairwise == pytest.approx(0.4)
    assert agreement.tar == pytest.approx({"2": 0.4, "3": 0.1, "4": 0.0, "5": 0.0})
    assert agreement.tar_at_n == 0.0
    assert agreement.n == 5
    assert r.modal_share == pytest.approx(0.6)
    assert r.distinct == 2
    entropy = -(0.6 * math.log(0.6) + 0.4 * math.log(0.4))
    assert r.effective_outputs == pytest.approx(math.exp(entropy))


def test_mean_over_prompts_not_over_pairs():
    """Each prompt counts once, however many repeats it has."""
    agreement = raw(cell("aa", "p") + cell("abcd", "q"))
    assert agreement.pairwise == pytest.approx(0.5)
    assert agreement.prompts == 2


@given(st.lists(st.text("ab", min_size=2, max_size=7), min_size=1, max_size=5))
def test_tar_equals_enumeration(cells):
    """TAR@k is the mean over prompts with k repeats of the share of equal k-subsets."""
    agreement = raw([r for i, outputs in enumerate(cells) for r in cell(outputs, f"p{i}")])
    n = max(len(outputs) for outputs in cells)
    assert list(agreement.tar) == [str(k) for k in range(2, n + 1)]
    for k in range(2, n + 1):
        able = [outputs for outputs in cells if len(outputs) >= k]
        assert agreement.tar_prompts[str(k)] == len(able)
        expected = sum(brute_tar(outputs, k) for outputs in able) / len(able)
        assert agreement.tar[str(k)] == pytest.approx(expected, abs=1e-12)
    assert agreement.tar_at_n == agreement.tar[str(n)]
    assert agreement.pairwise == pytest.approx(agreement.tar["2"])


def test_unequal_repeats_and_wilson():
    """A prompt with fewer repeats is left out of larger k; the interval counts who is left."""
    agreement = raw(cell("aaa", "p") + cell("aab", "q") + cell("aa", "r"))
    assert agreement.tar_prompts == {"2": 3, "3": 2}
    assert agreement.tar["3"] == pytest.approx(0.5)
    assert agreement.tar_at_n_ci95 == pytest.approx(list(stats.mean_ci([1.0, 0.0])))


def test_one_usable_repeat_is_left_out():
    """A prompt with one usable repeat has no agreement, and does not count as agreeing."""
    r = row(cell("ab", "p") + cell(["x", None], "q"))
    assert r.agreement.raw.pairwise == 0.0
    assert r.agreement.raw.prompts == 1
    assert r.modal_share == 0.5


@pytest.mark.parametrize("rows", [cell("a", "p") + cell("b", "q"), cell([None, None], "p")])
def test_null_below_two_usable(rows):
    """Fewer than two usable repeats everywhere gives null, not 0 and not 1."""
    r = row(rows)
    agreement = r.agreement.raw
    assert agreement.pairwise is None
    assert agreement.ci95 is None
    assert agreement.tar_at_n is None
    assert agreement.tar_at_n_ci95 is None
    assert agreement.tar == {}
    assert r.modal_share is None
    assert r.effective_outputs is None


def test_text_is_compared_byte_for_byte():
    """Case, trailing space and Unicode normal form all make a different text."""
    assert raw(cell(["a", "A", "a ", "\u00e9", "e\u0301"])).pairwise == 0.0
    assert raw(cell(["caf\u00e9\n"] * 3)).pairwise == 1.0


def test_errors_never_agree_and_never_count():
    """Errors leave agreement alone, are counted in availability, and lower the strict variant."""
    r = row(cell(["a", "a", None, None]))
    assert r.agreement.raw.pairwise == 1.0
    assert r.agreement.raw.n == 2
    assert r.sensitivity.strict == pytest.approx(1 / 6)
    assert r.availability == 0.5
    assert r.availability_ci95 is None  # one prompt: errors may come by prompt
    expected = stats.ratio_ci(np.array([1.0, 1.0, 2.0, 2.0, 2.0]), np.full(5, 2.0), scale="share")
    more = row([r for p in "abcde" for r in cell(["a", None] if p < "c" else ["a", "a"], p)])
    assert more.availability_ci95 == pytest.approx(list(expected))
    assert r.status == {"ok": 2, "empty": 0, "truncated": 0, "refused": 0, "error": 2}


def test_equal_refusals_agree_and_are_shown():
    """Two equal refusals agree, and so do two empty outputs; their part stands beside the rate."""
    refusals = cell(["no", "no"], status="refused") + cell(["", ""], status="empty")
    r = row(refusals)
    assert r.agreement.raw.pairwise == pytest.approx(2 / 6)
    assert r.sensitivity.equal_refusals == pytest.approx(1 / 6)
    assert r.sensitivity.equal_empty == pytest.approx(1 / 6)
    assert r.status_share["refused"] == 0.5


def test_refusal_field_is_part_of_the_output():
    """Refusals without content are told apart by the refusal field."""
    rows = [
        {"prompt_id": "q", "status": "refused", "text": None, "refusal": words}
        for words in ("I can't", "I can't", "I won't")
    ]
    assert raw(rows).pairwise == pytest.approx(1 / 3)


def test_truncated_stay_in_the_headline():
    """Truncated outputs count in the headline; the figure without them stands beside it."""
    r = row(cell("aab") + cell("x" * 2, status="truncated"))
    assert r.agreement.raw.pairwise == pytest.approx(2 / 10)
    assert r.sensitivity.without_truncated == pytest.approx(1 / 3)


def test_tool_calls_compare_without_their_ids():
    """The same call under another id is the same output; other arguments are another."""
    call = '[{"id":"%s","type":"function","function":{"name":"f","arguments":"{\\"id\\":%d}"}}]'
    rows = [
        {"prompt_id": "q", "text": None, "tool_calls_json": call % (name, argument)}
        for name, argument in (("call_1", 1), ("call_2", 1), ("call_3", 2))
    ]
    assert raw(rows).pairwise == pytest.approx(1 / 3)


def test_unparsed_agrees_with_nothing_and_stays_in_the_denominator():
    """Answers 7 7 null null: one equal pair of six, and nulls never equal each other."""
    rows = [{"prompt_id": "q", "text": str(i), "answer": a} for i, a in enumerate("77xx")]
    for r in rows[2:]:
        r["answer"] = None
    r = row(rows)
    assert r.agreement.answer.pairwise == pytest.approx(1 / 6)
    assert r.agreement.answer.distinct == 3
    assert r.agreement.answer.modal_share == 0.5
    assert r.agreement.raw.pairwise == 0.0
    assert r.unparsed == AnswerGaps(n=2, share=0.5)


def test_never_parsed_is_not_agreement():
    """A prompt whose answers were never parsed has agreement 0 (Atil's shared key gave it 1)."""
    rows = [{"prompt_id": "q", "text": "hm", "answer": None} for _ in range(3)]
    rows += [{"prompt_id": "r", "text": "hm", "answer": "1"} for _ in range(3)]
    answer = row(rows).agreement.answer
    assert answer.pairwise == pytest.approx(0.5)
    assert answer.tar_at_n == pytest.approx(0.5)


def test_answers_absent():
    """Without any answer the answer agreement is null, not 0."""
    r = row(cell("aa"))
    assert r.agreement.answer.pairwise is None
    assert r.sensitivity.strict_answer is None
    assert r.unparsed is None


def test_import_without_texts_has_no_raw_agreement():
    """Rows of which only the answer is known say nothing about the text."""
    rows = [{"prompt_id": "q", "text": None, "answer": "1"} for _ in range(3)]
    r = row(rows)
    assert r.agreement.raw.pairwise is None
    assert r.agreement.answer.pairwise == 1.0


def test_interval_over_prompts():
    """All prompts at 1 gives Wilson over the prompts; mixed small samples give Student's t."""
    assert raw([r for i in range(8) for r in cell("aa", f"p{i}")]).ci95 == pytest.approx(
        list(stats.wilson(8, 8))
    )
    values = [1.0, 1.0, 0.0, 1 / 3]
    mixed = cell("aaa", "p") + cell("bbb", "q") + cell("abc", "r") + cell("aab", "s")
    assert raw(mixed).ci95 == pytest.approx(list(stats.mean_ci(values)))


def test_the_interval_is_over_clusters_where_prompts_name_one():
    """One interval a figure: over prompts, or over the clusters that they name."""
    rows = [r for i in range(6) for r in cell("aa" if i < 3 else "ab", f"p{i}")]
    clusters = {f"p{i}": "x" if i < 3 else "y" for i in range(5)}
    agreement = raw(rows, clusters=clusters)
    expected = stats.mean_ci([1, 1, 1, 0, 0, 0], clusters=np.array([0, 0, 0, 1, 1, 2]))
    assert agreement.ci95 == pytest.approx(list(expected))
    assert agreement.tar_at_n_ci95 == pytest.approx(list(expected))
    assert raw(rows).ci95 == pytest.approx(list(stats.mean_ci([1, 1, 1, 0, 0, 0])))
    errors = [r for i in range(6) for r in cell(["a", "a" if i < 3 else None], f"p{i}")]
    delivered = row(errors, clusters=clusters).availability_ci95
    sums, sizes = np.array([6.0, 2.0, 1.0]), np.array([6.0, 4.0, 2.0])
    expected = stats.ratio_ci(sums, sizes, scale="share")
    assert delivered == pytest.approx(list(expected))
