"""The rules that hold for every scorer, and invariants on any input at all."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalharness.records import Status
from evalharness.scoring import TABLE, Extractor, Sample, parse_answer_spec, parse_scoring
from evalharness.scoring.text_options import TextOptions

NAMES = [name for name in TABLE if name not in ("python", "judge", "human", "checks")]


@pytest.mark.parametrize("name", NAMES)
def test_status_rules(name: str) -> None:
    """Errors are null; a refusal is 0 where there is a target, else null, negated or not."""
    for negated in (False, True):
        scorer = parse_scoring([{"name": name, "not": negated}])[0]
        error = scorer.score(Sample(text="x", target="x", status=Status.ERROR))
        refused = scorer.score(Sample(text="x", target="x", status=Status.REFUSED))
        untargeted = scorer.score(Sample(text="x", status=Status.REFUSED))
        assert (error.value, refused.value, untargeted.value) == (None, 0.0, None)


@pytest.mark.parametrize("name", [n for n in NAMES if n != "json_valid"])
def test_no_target_is_null(name: str) -> None:
    """Without a target, where one is needed, a scorer gives null and says so."""
    score = parse_scoring([{"name": name}])[0].score(Sample(text="x"))
    assert score.value is None
    assert "no target" in score.explanation


def test_not_negates_the_value_alone() -> None:
    """`not` gives 1 - value, and leaves null null."""
    scorer = parse_scoring([{"name": "includes", "not": True}])[0]
    assert scorer.score(Sample(text="fine", target="sorry")).value == 1
    assert scorer.score(Sample(text="Sorry!", target="sorry")).value == 0
    assert scorer.score(Sample(text="Sorry!")).value is None
    graded = parse_scoring([{"name": "f1", "not": True}])[0]
    assert graded.score(Sample(text="cat cat dog", target="cat dog")).value == pytest.approx(0.2)


def test_target_of_the_configuration() -> None:
    """A target in the configuration stands for every prompt's own."""
    scorer = parse_scoring([{"name": "exact", "target": "yes"}])[0]
    assert scorer.score(Sample(text="yes", target="no")).value == 1
    assert scorer.score(Sample(text="", status=Status.REFUSED)).value == 0


def test_of_answer() -> None:
    """`of: answer` judges the extracted answer; an unparsed output is wrong, negated or not."""
    scorer = parse_scoring([{"name": "exact", "of": "answer"}])[0]
    assert scorer.score(Sample(text="so 4", answer="4", target="4")).value == 1
    assert scorer.score(Sample(text="4", answer=None, target="4")).value == 0
    negated = parse_scoring([{"name": "exact", "of": "answer", "not": True}])[0]
    assert negated.score(Sample(text="4", answer=None, target="4")).value == 0


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
texts = st.text() | st.sampled_from(["", "B", '{"a": 1}', "1,234.5", "answer is B", "\ud800"])


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=40)
@given(
    text=st.none() | texts,
    target=json_values,
    status=st.sampled_from(Status),
    calls=st.none() | texts,
    negated=st.booleans(),
)
def test_any_input_gives_a_score(
    name: str, text: str | None, target: Any, status: Status, calls: str | None, negated: bool
) -> None:
    """No input makes a scorer raise; the value is null with a reason, or in [0, 1]."""
    scorer = parse_scoring([{"name": name, "not": negated}])[0]
    score = scorer.score(Sample(text=text, target=target, status=status, tool_calls_json=calls))
    assert score.explanation
    assert score.value is None or 0.0 <= score.value <= 1.0
    assert score == scorer.score(
        Sample(text=text, target=target, status=status, tool_calls_json=calls)
    )


@pytest.mark.parametrize("name", ["exact", "includes", "startswith", "f1", "similarity"])
@settings(deadline=None)
@given(text=st.text(min_size=1).filter(str.strip))
def test_a_text_is_right_about_itself(name: str, text: str) -> None:
    """A text judged against itself scores 1."""
    assert parse_scoring([{"name": name}])[0].score(Sample(text=text, target=text)).value == 1.0


EXTRACTORS: list[Any] = [
    "last_number",
    "choice",
    "json",
    "normalise",
    {"regex": r"answer is (\w+)"},
    {"json": "a.b[0]"},
    {"regex": "(?s).*", "last_number": True, "normalise": True},
    {"choice": ["yes", "no"]},
]


@pytest.mark.parametrize("spec", EXTRACTORS, ids=str)
@settings(deadline=None, max_examples=50)
@given(text=st.none() | texts)
def test_extraction_is_total(spec: Any, text: str | None) -> None:
    """Any text gives an answer without white space around it, or none; always the same."""
    extractor = parse_answer_spec(spec)
    assert isinstance(extractor, Extractor)
    answer = extractor.extract(text).answer
    assert answer is None or (answer == answer.strip() != "")
    assert answer == extractor.extract(text).answer


@settings(deadline=None)
@given(text=st.text(), marks=st.booleans(), case=st.booleans())
def test_ascii_shortcut_agrees(text: str, marks: bool, case: bool) -> None:
    """The quick path for ASCII texts gives what the general one gives."""
    ascii_text = text.encode("ascii", "ignore").decode() + ",.-5 (-7) a.b 'c'"
    options = TextOptions(ignore_punctuation=marks, ignore_case=case)
    general = options.apply(ascii_text + " é")
    assert general == (options.apply(ascii_text) + " é")
