"""score_records: a run's records judged, each distinct output once."""

from __future__ import annotations

import json
import math
import os
import sys
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalharness.columnar.record_store import RecordStore
from evalharness.errors import ConfigError, DatasetError
from evalharness.records import Status
from evalharness.schema import arrow_schema
from evalharness.scoring import TABLE, Sample, Score, Scorer, parse_answer_spec, parse_scoring
from evalharness.scoring.answer_status import MAX_TIMEOUTS
from evalharness.scoring.run_scores import RunScorer, RunScores, score_records


def table_of(rows: list[dict[str, Any]]) -> pa.Table:
    """Records with the stored schema; columns that may not be null get a value."""
    filled = [
        {
            "trial_id": str(place),
            "prompt_id": "p",
            "setting_id": "s",
            "repeat": place,
            "status": "ok",
            "text_sanitized": False,
            "in_doubt": False,
            **row,
        }
        for place, row in enumerate(rows)
    ]
    return pa.Table.from_pylist(filled, schema=arrow_schema("records"))


def records(rows: list[dict[str, Any]]) -> RecordStore:
    return RecordStore.of_table(table_of(rows))


def prompts(targets: dict[str, Any], **fields: Any) -> pa.Table:
    rows = [
        {
            "prompt_id": prompt_id,
            "content_hash": "d",
            "target_json": None if target is None else json.dumps(target),
            "tags": ["t"],
            "fields_json": json.dumps(fields) if fields else None,
            "in_current_plan": True,
        }
        for prompt_id, target in targets.items()
    ]
    return pa.Table.from_pylist(rows, schema=arrow_schema("prompts"))


def scored(
    rows: list[dict[str, Any]], targets: dict[str, Any], *names: str, **more: Any
) -> RunScores:
    scorers = parse_scoring([{"name": name} for name in names])
    return score_records(records(rows), prompts(targets), scorers, more.get("extractor"))


def test_values_are_aligned_with_records() -> None:
    """Each record has its own prompt's verdict; what cannot be judged is NaN."""
    rows = [
        {"prompt_id": "p", "text": "Paris"},
        {"prompt_id": "q", "text": "Paris"},
        {"prompt_id": "p", "text": "Paris"},
        {"prompt_id": "p", "text": None, "status": "error"},
        {"prompt_id": "p", "text": None, "status": "refused"},
        {"prompt_id": "r", "text": None, "status": "refused"},
        {"prompt_id": "r", "text": "Paris"},
        {"prompt_id": "p", "text": "", "status": "empty"},
        {"prompt_id": "p", "text": "Par", "status": "truncated"},
    ]
    result = scored(rows, {"p": "Paris", "q": "Rome", "r": None}, "exact", "includes")
    nan = math.nan
    expected = [1, 0, 1, nan, 0, nan, nan, 0, 0]
    assert list(result.scores) == ["exact", "includes"]
    for values in result.scores.values():
        assert values.dtype == np.float64
        np.testing.assert_array_equal(values, expected)


def test_each_distinct_output_is_judged_once() -> None:
    """A scorer sees equal outputs of a prompt once, and everything that tells outputs apart."""
    seen: list[Sample] = []

    class Spy(Scorer, frozen=True):
        def evaluate(self, sample: Sample) -> Score:
            seen.append(sample)
            return Score(1.0)

    same = {"prompt_id": "p", "text": "a"}
    rows = [
        same,
        same,
        {**same, "prompt_id": "q"},
        {**same, "text": "b"},
        {**same, "text": None},
        {**same, "finish_reason": "stop"},
        {**same, "tool_calls_json": "[]"},
        {**same, "status": "truncated"},
        same,
    ]
    scorers = parse_scoring([{"name": "spy"}], TABLE | {"spy": Spy})
    result = score_records(records(rows), prompts({"p": 1, "q": 2}, why="x"), scorers, None)
    assert len(seen) == 7
    assert {(s.prompt_id, s.target) for s in seen} == {("p", 1), ("q", 2)}
    assert all(s.fields == {"why": "x"} and s.tags == ["t"] for s in seen)
    assert result.scores["spy"].tolist() == [1.0] * 9


def test_answers_and_their_status() -> None:
    """Parsed, unparsed and absent answers are told apart; errors never have one."""
    rows = [
        {"text": "so 4.0"},
        {"text": "dunno"},
        {"text": "5", "status": "error"},
        {"text": None, "status": "refused"},
        {"text": "so 4.0"},
    ]
    extractor = parse_answer_spec("last_number")
    result = scored(rows, {"p": 4}, "exact", extractor=extractor)
    assert result.answers is not None
    assert result.answer_status is not None
    assert result.answers.to_pylist() == ["4", None, None, None, "4"]
    assert result.answer_status.to_pylist() == ["parsed", "unparsed", "none", "unparsed", "parsed"]


def test_no_answers_without_extraction() -> None:
    """Where no answers are defined there are none, rather than all unparsed."""
    result = scored([{"text": "a"}], {"p": "a"}, "exact")
    assert result.answers is None
    assert result.answer_status is None


def test_supplied_answers() -> None:
    """Answers that came with an import are taken, and an extractor takes their place."""
    rows = [
        {"text": "so 4", "answer": "four"},
        {"text": "so 4", "answer": None},
        {"text": "so 4", "answer": "4"},
        {"text": None, "status": "error"},
    ]
    by_answer = parse_scoring([{"name": "exact", "of": "answer"}])
    result = score_records(records(rows), prompts({"p": "four"}), by_answer, None)
    assert result.answers is not None
    assert result.answers.to_pylist() == ["four", None, "4", None]
    np.testing.assert_array_equal(result.scores["exact"], [1, 0, 0, math.nan])

    extractor = parse_answer_spec("last_number")
    result = score_records(records(rows), prompts({"p": "four"}), by_answer, extractor)
    assert result.answers is not None
    assert result.answers.to_pylist() == ["4", "4", "4", None]


def test_supplied_answers_all_null() -> None:
    """An answer column known to be supplied makes every delivered answer unparsed."""
    table = table_of([{"text": "a"}])
    for one in (table, table.drop_columns(["answer"])):  # may be left out when without a value
        result = score_records(
            RecordStore.of_table(one), prompts({"p": "a"}), [], None, answers_supplied=True
        )
        assert result.answer_status is not None
        assert result.answer_status.to_pylist() == ["unparsed"]


def test_of_answer_needs_answers() -> None:
    """Judging answers where none are defined is refused, naming the key."""
    by_answer = parse_scoring([{"name": "exact"}, {"name": "f1", "of": "answer"}])
    with pytest.raises(ConfigError, match=r"scoring\[1\]\.of"):
        score_records(records([{"text": "a"}]), prompts({"p": "a"}), by_answer, None)


def test_imported_scores() -> None:
    """Imported scores pass through; errors have none, a refusal where one was due counts 0."""
    rows = [
        {"text": "a", "score": 0.25},
        {"text": "a", "score": None},
        {"status": "error", "score": 0.0},
        {"status": "refused", "score": None},
        {"status": "refused", "score": 0.5},
        {"prompt_id": "q", "status": "refused", "score": None},
    ]
    result = scored(rows, {"p": "x", "q": None}, "exact")
    nan = math.nan
    assert list(result.scores) == ["exact", "imported"]
    np.testing.assert_array_equal(result.scores["imported"], [0.25, nan, nan, 0, 0.5, nan])
    assert result.explain("imported", 0) == Score(0.25, None, "came with the import")
    assert result.why_null("imported") == {
        "error record: nothing was answered": 1,
        "the import gave no score": 2,
    }


def test_explanations() -> None:
    """Any record's score can be explained, and null scores are counted by reason."""
    rows = [{"text": "a"}, {"text": "b"}, {"status": "error"}, {"status": "error"}]
    result = scored(rows, {"p": "a"}, "exact")
    assert result.explain("exact", 0) == Score(1.0, "a", "equals the target")
    assert result.explain("exact", 1).value == 0
    assert result.explain("exact", 3).value is None
    assert result.why_null("exact") == {"error record: nothing was answered": 2}
    with pytest.raises(KeyError):
        result.explain("f1", 0)


def test_gives_up_on_a_hopeless_pattern() -> None:
    """A pattern that keeps taking too long is tried on a few texts only, and that is said."""
    rows = [{"text": "a" * (60 + n) + "b"} for n in range(3 * MAX_TIMEOUTS)]
    slow = {"name": "regex", "pattern": "(a|aa)+$", "timeout_s": 0.01}
    extractor = parse_answer_spec({"regex": "(a|aa)+$", "timeout_s": 0.01})
    result = score_records(records(rows), prompts({"p": "x"}), parse_scoring([slow]), extractor)
    assert np.isnan(result.scores["regex"]).all()
    assert sorted(result.why_null("regex").values()) == [MAX_TIMEOUTS, 2 * MAX_TIMEOUTS]
    assert result.answer_status is not None
    assert set(result.answer_status.to_pylist()) == {"failed"}


def test_unknown_prompt() -> None:
    """A record of a prompt that is not there is an error, not a missing target."""
    with pytest.raises(DatasetError, match="'p'"):
        scored([{"text": "a"}], {"q": "a"}, "exact")


def test_no_records() -> None:
    """An empty table gives empty scores."""
    result = scored([], {"p": "a"}, "exact")
    assert result.scores["exact"].shape == (0,)


row = st.fixed_dictionaries(
    {
        "prompt_id": st.sampled_from(["p", "q"]),
        "text": st.sampled_from([None, "", "a", "b", "4", "is 4"]),
        "status": st.sampled_from([status.value for status in Status]),
        "finish_reason": st.sampled_from([None, "stop"]),
        "answer": st.sampled_from([None, "a"]),
    }
)


@settings(deadline=None, max_examples=60)
@given(rows=st.lists(row, max_size=30), chunks=st.integers(1, 4))
def test_equals_judging_one_by_one(rows: list[dict[str, Any]], chunks: int) -> None:
    """Scores do not depend on duplicates, order or how the table is cut into chunks."""
    targets = {"p": "a", "q": 4}
    scorers = parse_scoring([{"name": "exact"}, {"name": "numeric"}, {"name": "f1", "not": True}])
    whole = table_of(rows)
    size = max(1, len(rows) // chunks)
    pieces = [whole.slice(at, size) for at in range(0, len(rows), size)]
    table = pa.concat_tables(pieces) if pieces else whole
    result = score_records(RecordStore.of_table(table), prompts(targets), scorers, None)
    for place, one in enumerate(rows):
        sample = Sample(
            text=one["text"],
            target=targets[one["prompt_id"]],
            status=Status(one["status"]),
            finish_reason=one["finish_reason"],
        )
        for scorer in scorers:
            assert scorer.label is not None
            value = result.scores[scorer.label][place]
            assert (None if math.isnan(value) else value) == scorer.score(sample).value


@pytest.mark.skipif(sys.platform != "linux", reason="copies are made on Linux only")
@settings(deadline=None, max_examples=15)
@given(rows=st.lists(row, min_size=1, max_size=30), size=st.integers(1, 9), supplied=st.booleans())
def test_judging_in_a_copy_of_the_process(
    rows: list[dict[str, Any]], size: int, supplied: bool
) -> None:
    """Block by block, with texts and prompts of earlier blocks: scores, answers and why as here."""
    table, about = table_of(rows), prompts({"p": "a", "q": 4})
    found: list[RunScores] = []
    for aside in (False, True):
        scorers = parse_scoring([{"name": "exact"}, {"name": "f1"}])
        extractor = None if supplied else parse_answer_spec("last_number")
        store = RecordStore()
        with RunScorer(
            store, about, scorers, extractor, supplied=supplied, use_fork=aside
        ) as grader:
            for at in range(0, len(rows), size):
                part = table.slice(at, size)
                store.add(part, store.encode(part))
                grader.score_new_records()
            found.append(grader.finish())
    here, there = found
    assert here.answers is not None
    assert there.answers is not None
    assert there.answers.to_pylist() == here.answers.to_pylist()
    for name in here.scores:
        np.testing.assert_array_equal(there.scores[name], here.scores[name])
        assert there.why_null(name) == here.why_null(name)
        for place in range(len(rows)):
            assert there.explain(name, place) == here.explain(name, place)


def test_a_users_function_judges_in_the_process_that_loaded_it() -> None:
    """Threads and files that its module has opened are not in a copy of the process."""
    scorers = parse_scoring([{"name": "python", "path": f"{__name__}.own_process"}])
    store, table = RecordStore(), table_of([{"text": "a"}])
    with RunScorer(
        store, prompts({"p": "a"}), scorers, None, supplied=False, use_fork=True
    ) as grader:
        store.add(table, store.encode(table))
        grader.score_new_records()
        assert grader.finish().scores.popitem()[1].tolist() == [1]


_HERE = os.getpid()


def own_process(sample: Sample) -> bool:
    """Whether this is still the process that imported the module."""
    return os.getpid() == _HERE


def test_dictionary_encoded_columns() -> None:
    """Columns read as dictionaries give the same as plain ones."""
    table = table_of([{"text": "a"}, {"text": None}, {"text": "b"}, {"text": "a"}])
    for name in ("status", "prompt_id"):
        place = table.column_names.index(name)
        table = table.set_column(place, name, table.column(name).dictionary_encode())
    scorers, store = parse_scoring([{"name": "exact"}]), RecordStore.of_table(table)
    result = score_records(store, prompts({"p": "a"}), scorers, None)
    assert result.scores["exact"].tolist() == [1, 0, 0, 1]
