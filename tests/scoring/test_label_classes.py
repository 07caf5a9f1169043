"""Which targets are labels, and which class an output names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from evalharness.scoring import parse_answer_spec, parse_scoring
from evalharness.scoring.label_classes import (
    OUTSIDE,
    UNLABELLED,
    UNPARSED,
    UNSCORED,
    RunLabels,
)
from evalharness.scoring.run_scores import RunScorer, score_records
from tests.scoring.test_run_scores import prompts, records

TARGETS = {"a": "spam", "b": "ham", "c": "spam", "d": "ham"}


def labels_of(
    texts: Mapping[str, str | None],
    targets: dict[str, Any],
    scoring: list[dict[str, Any]],
    answer: Any = None,
) -> RunLabels | None:
    """The labels of a run with one record a prompt."""
    rows = [{"prompt_id": prompt, "text": text} for prompt, text in texts.items()]
    scores = score_records(
        records(rows), prompts(targets), parse_scoring(scoring), parse_answer_spec(answer)
    )
    return scores.labels


def named(labels: RunLabels | None) -> list[str | int]:
    """What each record names: a label, or a code below 0."""
    assert labels is not None
    names = [*labels.names, *labels.outside]
    return [names[code] if code >= 0 else code for code in labels.predicted.tolist()]


def test_exact_reads_the_text_by_its_own_options() -> None:
    texts = {"a": " Spam\n", "b": "HAM", "c": "eggs", "d": ""}
    labels = labels_of(texts, TARGETS, [{"name": "exact", "ignore_case": True}])
    assert named(labels) == ["spam", "ham", "eggs", UNPARSED]
    assert labels is not None
    assert labels.names == ["ham", "spam"]
    assert labels.targets.tolist() == [1, 0, 1, 0]
    strict = labels_of(texts, TARGETS, [{"name": "exact"}])
    assert named(strict) == ["Spam", "HAM", "eggs", UNPARSED]
    assert strict is not None
    assert strict.outside == ["Spam", "HAM", "eggs"]  # since case counts


@pytest.mark.parametrize(
    ("scoring", "answer"),
    [
        ([{"name": "choice", "labels": ["spam", "ham"]}], None),
        ([{"name": "regex", "pattern": r"answer: (\w+)", "group": 1}], None),
        ([{"name": "f1"}], {"regex": r"answer: (\w+)"}),
        ([{"name": "exact", "of": "answer"}], {"regex": r"answer: (\w+)"}),
        ([{"name": "exact"}], {"choice": ["spam", "ham"]}),
        ([], {"regex": r"answer: (\w+)"}),
    ],
)
def test_a_label_within_a_text(scoring: list[dict[str, Any]], answer: Any) -> None:
    texts = {"a": "I think the answer: spam", "b": "answer: spam", "c": "no idea", "d": None}
    labels = labels_of(texts, TARGETS, scoring, answer)
    assert named(labels) == ["spam", "spam", UNPARSED, UNPARSED]


def test_answers_that_no_scorer_compares_may_differ_in_case() -> None:
    labels = labels_of({"a": "**Spam.**", "b": "Ham!"}, TARGETS, [], "normalise")
    assert named(labels) == ["spam", "ham"]
    numbers = {"a": 1, "b": 2, "c": 10, "d": 2, "e": 1}
    labels = labels_of({"a": "It is 1.0", "c": "10 of 10"}, numbers, [], "last_number")
    assert labels is not None
    assert labels.names == ["1", "2", "10"]


@pytest.mark.parametrize(
    ("targets", "scoring", "answer"),
    [
        ({"a": "Paris", "b": "Rome", "c": "Oslo"}, [{"name": "exact"}], None),  # all differ
        ({"a": "x", "b": "x"}, [{"name": "exact"}], None),  # one class
        (TARGETS, [{"name": "includes"}], None),  # reads no label
        (TARGETS, [{"name": "exact", "target": "spam"}], None),  # no target of the prompts
        ({k: {"x": v} for k, v in TARGETS.items()}, [{"name": "exact"}], None),
        ({"a": "x" * 81, "b": "y" * 81, "c": "x" * 81, "d": "y" * 81}, [{"name": "exact"}], None),
        ({k: [v, "other"] for k, v in TARGETS.items()}, [{"name": "exact"}], None),
        ({"a": None, "b": None}, [{"name": "exact"}], None),
        (TARGETS, [], None),
    ],
)
def test_targets_that_are_no_labels(
    targets: dict[str, Any], scoring: list[dict[str, Any]], answer: Any
) -> None:
    assert labels_of({"a": "spam", "b": "ham"}, targets, scoring, answer) is None


def test_declared_labels_need_no_repetition_and_alternatives_are_left_out() -> None:
    targets = {"a": "A", "b": "(b)", "c": ["A", "B"], "d": "Z"}
    labels = labels_of({"a": "A", "b": "b"}, targets | {"e": "C"}, [{"name": "choice"}])
    assert labels is not None
    assert labels.names == ["A", "B", "C"]
    assert labels.unlabelled == 2
    assert labels.targets.tolist() == [0, 1, UNLABELLED, UNLABELLED, 2]


def test_a_label_that_could_not_be_looked_for_is_not_a_wrong_one() -> None:
    texts = {"a": "a" * 60 + "b", "b": "ham"}
    pattern = {"name": "regex", "pattern": "(?:a|aa)+$|(ham)", "group": 1, "timeout_s": 0.01}
    assert named(labels_of(texts, TARGETS, [pattern])) == [UNSCORED, "ham"]
    spec = {"regex": "(?:a|aa)+$|(ham)", "group": 1, "timeout_s": 0.01}
    assert named(labels_of(texts, TARGETS, [], spec)) == [UNSCORED, "ham"]


def test_long_texts_are_outside_and_take_no_memory() -> None:
    texts = {"a": "x" * 1_000_000, "b": "ham"}
    labels = labels_of(texts, TARGETS, [{"name": "exact"}])
    assert named(labels) == [OUTSIDE, "ham"]
    assert labels is not None
    assert labels.outside == []


def test_a_scorer_may_be_called_answer() -> None:
    scoring = [{"name": "exact", "label": "answer"}]
    assert named(labels_of({"a": "spam"}, TARGETS, scoring)) == ["spam"]


def test_labels_are_read_in_a_fork_as_here() -> None:
    rows = [{"prompt_id": "abcd"[i % 4], "text": ["spam", "ham", "x"][i % 3]} for i in range(40)]
    given: Any = (prompts(TARGETS), parse_scoring([{"name": "exact"}]), None)
    found: list[RunLabels] = []
    for use_fork in (False, True):
        store = records(rows)
        with RunScorer(store, *given, supplied=False, use_fork=use_fork) as scorer:
            scorer.score_new_records()
            store.texts.close()
            labels = scorer.finish().labels
        assert labels is not None
        found.append(labels)
    assert found[0].predicted.tolist() == found[1].predicted.tolist()
    assert found[0].outside == found[1].outside == ["x"]
