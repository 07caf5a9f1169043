"""Agreement across settings and runs, against pairs counted one by one."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalharness.analysis.across.agreement_across import (
    AgreementAcross,
    agreement_across,
    all_pairs,
)
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.join_runs import JoinedRuns
from tests.analysis.record_frames import cell, frame_of

Rows = list[dict[str, Any]]


def across(frame: RunFrame, **runs: RunFrame) -> AgreementAcross:
    """Of the first two settings; of several runs, of the first setting of each."""
    joined = JoinedRuns.of({"": frame, **runs})
    columns = [joined.columns[0], joined.columns[1 if not runs else len(frame.setting_ids)]]
    return agreement_across(joined, [(columns[0], columns[1])])[0]


def rows_of(setting: str, *prompts: str | list[Any]) -> Rows:
    return [
        row
        for number, texts in enumerate(prompts)
        for row in cell(texts, f"p{number:02}", setting_id=setting)
    ]


def test_settings_that_never_agree_though_each_repeats_itself() -> None:
    row = across(frame_of(rows_of("a", *["xxx"] * 12) + rows_of("b", *["yyy"] * 12)))
    text = row.text
    assert (text.across, text.own_a, text.own_b, text.own_minus_across) == (0, 1, 1, 1)
    assert text.verdict == "apart"
    assert text.ci95 is not None
    assert text.ci95[1] < 0.3
    assert row.similarity_across == 0
    assert [p.prompt_id for p in row.least_alike] == ["p00", "p01", "p02", "p03", "p04"]


def test_settings_that_always_agree() -> None:
    row = across(frame_of(rows_of("a", "xx", "yy") + rows_of("b", "xx", "yy")))
    assert (row.text.across, row.text.verdict, row.similarity_across) == (1, "equal", 1)
    assert row.least_alike == []


def test_noise_alone_is_told_apart_from_a_difference() -> None:
    noisy = ["xyxz", "yyxx", "zxyx", "xxyz", "zyxx", "xzxy"]
    row = across(frame_of(rows_of("a", *noisy) + rows_of("b", *reversed(noisy))))
    assert row.text.across is not None
    assert row.text.across < 0.5
    assert row.text.verdict == "as repeats"


def test_one_repeat_cannot_tell_noise_from_a_difference() -> None:
    row = across(frame_of(rows_of("a", "x", "x") + rows_of("b", "x", "y")))
    assert (row.text.across, row.text.verdict, row.text.p) == (0.5, "not tested", None)


def test_runs_without_a_common_prompt_have_no_figure() -> None:
    row = across(frame_of(cell("xx", "p1")), other=frame_of(cell("xx", "p2")))
    assert (row.text.across, row.text.ci95, row.text.verdict) == (None, None, "unknown")


def test_errors_are_in_no_figure_and_unparsed_answers_agree_with_nothing() -> None:
    rows = rows_of("a", ["x", "x", None]) + rows_of("b", ["x", "x", "x"])
    row = across(frame_of(rows, answers=np.array([0, -1, -1, 0, 0, -1])))
    assert row.text.across == 1
    assert row.answer is not None
    assert row.answer.across == pytest.approx(2 / 6)
    assert row.answer.verdict != "equal"


def test_refusals_and_texts_of_two_runs_are_not_confused() -> None:
    one = frame_of([{"prompt_id": "p", "text": "no"}, {"prompt_id": "p", "text": "yes"}])
    two = frame_of([{"prompt_id": "p", "refusal": "no", "status": "refused"}])
    assert across(one, two=two).text.across == 0
    assert across(one, two=frame_of(cell(["yes"], "p"))).text.across == 0.5


def test_tool_calls_of_two_runs_are_compared_without_their_ids() -> None:
    def calls(number: int, argument: str) -> RunFrame:
        call = f'[{{"id": "{number}", "name": "add", "arguments": "{argument}"}}]'
        rows: Rows = [{"prompt_id": "p", "tool_calls_json": call}, {"prompt_id": "q", "text": "x"}]
        return frame_of(rows)

    assert across(calls(1, "a"), two=calls(2, "a")).text.across == 1
    assert across(calls(1, "a"), two=calls(1, "b")).text.across == 0.5
    assert across(calls(1, "a"), two=frame_of(cell("x", "q"))).text.across == 1


def test_answers_of_two_runs_are_compared_by_what_they_say() -> None:
    rows = [{"prompt_id": "p", "text": t, "answer": t[-1]} for t in ("so 1", "so 2")]
    other = [{"prompt_id": "p", "text": t, "answer": t[-1]} for t in ("zz", "is 2")]
    row = across(frame_of(rows), other=frame_of(other))
    assert row.text.across == 0
    assert row.answer is not None
    assert row.answer.across == 0.25


def test_clusters_are_the_unit_of_the_interval() -> None:
    texts = ["xx"] * 10 + ["yy"] * 10
    clusters = {f"p{i:02}": "one" if i < 10 else "two" for i in range(20)}
    rows = rows_of("a", *["xx"] * 20) + rows_of("b", *texts)
    alone, together = (across(frame_of(rows, clusters=c)).text.ci95 for c in ({}, clusters))
    assert alone is not None
    assert together is not None
    assert together[1] - together[0] > alone[1] - alone[0]


TEXTS = st.lists(st.sampled_from("xyz"), min_size=0, max_size=4)
PROMPTS = st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=5)


@settings(max_examples=60, deadline=None)
@given(PROMPTS)
def test_across_is_the_mean_over_prompts_of_equal_pairs(prompts: list[Any]) -> None:
    a, b = ([list(p[side]) for p in prompts] for side in (0, 1))
    rows = rows_of("a", *a) + rows_of("b", *b)
    if not any(map(len, a)) or not any(map(len, b)):
        return
    shares = [
        np.mean([x == y for x, y in product(*pair)]) for pair in zip(a, b, strict=True) if all(pair)
    ]
    one_run = across(frame_of(rows)).text
    first = frame_of([r for r in rows if r["setting_id"] == "a"])
    second = frame_of([r for r in rows if r["setting_id"] == "b"])
    two_runs = across(first, other=second).text
    for text in (one_run, two_runs):
        assert text.across == (pytest.approx(np.mean(shares)) if shares else None)
        assert text.prompts == len(shares)


def test_many_settings_are_cut_to_the_first() -> None:
    rows = [row for i in range(26) for row in rows_of(f"s{i:02}", "x")]
    assert len(all_pairs(JoinedRuns.of({"": frame_of(rows)}))) == 24 * 23 // 2
