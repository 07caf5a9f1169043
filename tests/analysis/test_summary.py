"""The summary as a whole: shape, JSON, invariants, and size."""

from __future__ import annotations

import json
import random

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalharness.analysis.agreement.breakdowns import breakdowns
from evalharness.analysis.agreement.least_stable import least_stable
from evalharness.analysis.data.frame_builder import build_frame
from evalharness.analysis.summary import SettingSummary
from evalharness.columnar.record_store import RecordStore
from tests.analysis.record_frames import cell, frame_of, summary_of

ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "prompt_id": st.sampled_from(["p", "q", "r"]),
            "setting_id": st.sampled_from(["s", "t"]),
            "status": st.sampled_from(["ok", "ok", "ok", "truncated", "refused", "error", "empty"]),
            "text": st.sampled_from(["a", "b", "ab", ""]),
            "answer": st.sampled_from(["1", "2", None]),
            "score": st.sampled_from([0.0, 0.5, 1.0, None]),
            "latency_s": st.sampled_from([0.25, 1.5, None]),
            "system_fingerprint": st.sampled_from(["f", "g", None]),
        }
    ),
    min_size=1,
    max_size=25,
)


def test_json_gives_the_same_rows_back():
    """The JSON of a report holds all there is, so that any report can be made from it."""
    clusters = {"p": "x", "q": "y"}
    for frame in (frame_of(cell("aab")), frame_of(cell("ab", "p") + cell("ab"), clusters=clusters)):
        rows = summary_of(frame)
        assert msgspec.json.decode(msgspec.json.encode(rows), type=list[SettingSummary]) == rows


def test_setting_without_records():
    """A setting that was planned but never tried has nulls and zero trials, and does not fail."""
    frame = frame_of(cell("ab"), settings=[{"setting_id": "s"}, {"setting_id": "unused"}])
    row = summary_of(frame)[1]
    assert row.trials == 0
    assert row.availability is None
    assert row.agreement.raw.pairwise is None
    assert row.score.mean is None
    assert row.latency_s.n == 0


def test_finish_reasons_that_are_not_known_are_counted():
    words = ["stop", "weary", "MAX_TOKENS", None, "weary", "bored", "abort"]
    rows = [{"prompt_id": "p", "text": "a", "finish_reason": word} for word in words]
    assert summary_of(frame_of(rows))[0].unknown_finish_reasons == {"weary": 2, "bored": 1}


def test_no_records_at_all():
    """An empty run is summarised with nulls."""
    frame = frame_of([], prompt_ids=["p"], settings=[{"setting_id": "s"}])
    row = summary_of(frame)[0]
    assert row.trials == 0
    assert least_stable(frame) == []
    assert breakdowns(frame)[0].time_gap == []


@settings(max_examples=60)
@given(ROWS, st.randoms(use_true_random=False))
def test_free_of_the_order_of_rows(rows, shuffle: random.Random):
    """The same records in another order give the same bits, in every table."""
    counters: dict[tuple[str, str], int] = {}
    for row in rows:
        key = (row["prompt_id"], row["setting_id"])
        row["repeat"] = counters.get(key, 0)
        counters[key] = row["repeat"] + 1
    moved = list(rows)
    shuffle.shuffle(moved)
    first, second = frame_of(rows), frame_of(moved)
    assert msgspec.json.encode(summary_of(first)) == msgspec.json.encode(summary_of(second))
    assert least_stable(first) == least_stable(second)
    assert breakdowns(first) == breakdowns(second)


def shares(value, name=""):
    """Every figure in a summary row that is a share; ends of t intervals may lie outside."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key not in ("divergence", "latency_s", "tokens", "cost_usd", "params", "ci95"):
                yield from shares(inner, key if not key.isdigit() else name)
    elif isinstance(value, list):
        for inner in value:
            yield from shares(inner, name)
    elif isinstance(value, float) and name not in ("distinct", "effective_outputs"):
        yield value


@given(ROWS)
def test_shares_lie_in_0_1_and_json_holds_no_nan(rows):
    """Every share is in [0, 1], and the whole is strict JSON."""
    result = summary_of(frame_of(rows))
    json.dumps(msgspec.to_builtins(result), allow_nan=False)
    for row in result:
        assert all(0.0 <= share <= 1.0 for share in shares(msgspec.to_builtins(row)))
        if row.effective_outputs is not None:
            assert 1.0 <= row.effective_outputs <= row.distinct + 1e-9


@given(ROWS)
def test_one_exactly_when_all_are_equal(rows):
    """Agreement, TAR and modal share are 1 exactly when each prompt's outputs are all equal."""
    frame = frame_of([{**row, "setting_id": "s"} for row in rows])
    row = summary_of(frame)[0]
    outputs: dict[str, list[str]] = {}
    for r in rows:
        if r["status"] != "error":
            outputs.setdefault(r["prompt_id"], []).append(r["text"])
    able = [texts for texts in outputs.values() if len(texts) >= 2]
    raw = row.agreement.raw
    if not able:
        assert raw.pairwise is None
        return
    alike = all(len(set(texts)) == 1 for texts in able)
    assert (raw.pairwise == 1.0) is alike
    assert (row.modal_share == 1.0) is alike
    assert (raw.tar["2"] == 1.0) is alike


@pytest.mark.parametrize("repeats", [10, 2000])
def test_many_records(repeats):
    """Two hundred thousand records are all counted, few or many repeats a prompt."""
    n = 200_000
    prompts = n // repeats
    cells = np.repeat(np.arange(prompts), repeats)
    rng = np.random.default_rng(0)
    wrong = rng.random(n) < 0.1
    texts = np.where(wrong, "other", "the same answer")
    shuffled = rng.permutation(n)
    table = pa.table(
        {
            "prompt_id": pa.array(cells.astype(str)[shuffled]),
            "setting_id": pa.array(["s"] * n),
            "repeat": np.tile(np.arange(repeats), prompts)[shuffled],
            "status": pa.array(["ok"] * n),
            "text": pa.array(texts[shuffled]),
        }
    )
    frame = build_frame(
        RecordStore.of_table(table),
        pa.table({"prompt_id": [str(i) for i in range(prompts)]}),
        pa.table({"setting_id": ["s"], "label": ["s"]}),
    )
    row = summary_of(frame)[0]
    assert row.trials == n
    assert row.prompts == prompts
    assert row.agreement.raw.n == repeats
    c = np.bincount(cells[wrong], minlength=prompts)
    equal = (c * (c - 1) + (repeats - c) * (repeats - c - 1)) / (repeats * (repeats - 1))
    assert row.agreement.raw.pairwise == pytest.approx(equal.mean())
    assert row.divergence.unequal_pairs == int((c * (repeats - c)).sum())
    assert breakdowns(frame)[0].output_length
