"""numeric, choice, the JSON scorers, tool_call, python: reading the output as more than text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.scoring import Sample, Score, parse_scoring
from evalharness.scoring.numbers_in_text import (
    canonical_number,
    find_number,
    find_numbers,
    last_number_text,
)


def judge(name: str, text: str | None, target: Any = None, **arguments: Any) -> Score:
    calls = arguments.pop("calls", None)
    scorer = parse_scoring([{"name": name, **arguments}])[0]
    tool_calls_json = None if calls is None else json.dumps(calls)
    return scorer.score(Sample(text=text, target=target, tool_calls_json=tool_calls_json))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("The answer is 42.", "42"),
        ("12 apples, so 1,234.50 in all.", "1234.5"),
        ("it costs -$5", "-5"),
        ("it costs $-5", "-5"),
        ("minus sign \u22127", "-7"),
        ("3-5", "5"),
        ("GPT-4", "4"),
        ("x5", None),  # a name, not a number
        ("答案是42。", "42"),
        ("ratio .5", "0.5"),
        ("wait...42", "42"),
        ("about 1.5e3 m", "1500"),
        ("5kg", "5"),
        ("12%", "12"),
        ("\\boxed{7}", "7"),
        ("**8**", "8"),
        ("1,2,3", "3"),
        ("1e999999999999999999999", None),
        ("none", None),
        ("", None),
        ("٤٢", "42"),
    ],
)
def test_last_number(text: str, number: str | None) -> None:
    """The last number of a text is found as people write numbers, in one spelling."""
    assert judge("numeric", text, 0).answer == number


@pytest.mark.parametrize(
    ("text", "target", "arguments", "value"),
    [
        ("so 18", 18, {}, 1),
        ("so 18.0", "#### 18", {}, 1),
        ("0.3", 0.3, {}, 1),
        ("0.1 + 0.2 = 0.30000000000000004", 0.3, {}, 0),  # decimal, as written
        ("3.14", 3.14159, {"tolerance": 0.01}, 1),
        ("3.1", 3.14159, {"tolerance": 0.01}, 0),
        ("101", 100, {"rel_tolerance": 0.01}, 1),
        ("102", 100, {"rel_tolerance": 0.01}, 0),
        ("1 then 2", 1, {"which": "first"}, 1),
        ("1 then 2", 2, {"which": "only"}, 0),
        ("2", [1, 2], {}, 1),
        ("no idea", 2, {}, 0),
        ("2", "two", {}, None),
        ("1", True, {}, None),
    ],
)
def test_numeric(text: str, target: Any, arguments: dict[str, Any], value: float | None) -> None:
    """Numbers are equal within the stated tolerance, and exactly without one."""
    assert judge("numeric", text, target, **arguments).value == value


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("B", "B"),
        ("b", "B"),
        ("(B)", "B"),
        ("**B**", "B"),
        ("B. Vitamin C", "B"),
        ("(B) A dog", "B"),
        ("The answer is B because A is wrong.", "B"),
        ("A is tempting, but the answer is (C).", "C"),
        ("Answer:\n\n**D**", "D"),
        ("answer: b.", "B"),
        ("The answer is $\\boxed{\\text{B}}$", "B"),
        ("I would say that it must be B in this case", "B"),
        ("The answer is a dog.", None),
        ("A cat sat there.", None),
        ("B or C", None),
        ("选B", "B"),
        ("答案是B。", "B"),
        ("Bob did it", None),
        ("", None),
    ],
)
def test_choice_letter(text: str, label: str | None) -> None:
    """The letter a text settles on is found, and none when it settles on none."""
    assert judge("choice", text, "A").answer == label


@pytest.mark.parametrize(
    ("text", "target", "labels", "value"),
    [
        ("Yes, certainly.", "yes", ["yes", "no"], 1),
        ("NO", "no", ["yes", "no"], 1),
        ("I do not know", "no", ["yes", "no"], 0),  # "know" is not "no"
        ("very positive", "positive", ["positive", "very positive"], 0),
        ("x", "maybe", ["yes", "no"], None),
        ("是", "是", ["是", "否"], 1),
    ],
)
def test_choice_labels(text: str, target: str, labels: list[str], value: float | None) -> None:
    """Labels of one's own are found as whole words in any case."""
    assert judge("choice", text, target, labels=labels).value == value


@pytest.mark.parametrize(
    ("text", "arguments", "value"),
    [
        ('{"a": [1, null]}', {}, 1),
        ("17", {}, 1),
        ('{"a": 1} done', {}, 0),
        ("{'a': 1}", {}, 0),
        ("[NaN]", {}, 0),
        ("", {}, 0),
        ("[" * 100_000, {}, 0),
        ('```json\n{"a": 1}\n```', {}, 0),
        ('Here:\n```json\n{"a": 1}\n```\n', {"fenced": True}, 1),
    ],
)
def test_json_valid(text: str, arguments: dict[str, Any], value: float) -> None:
    """The whole text is one JSON value by RFC 8259; a code block counts only when asked."""
    assert judge("json_valid", text, **arguments).value == value


@pytest.mark.parametrize(
    ("text", "target", "arguments", "value"),
    [
        ('{"b": 2, "a": 1.0}', {"a": 1, "b": 2}, {}, 1),
        ('{"a": true}', {"a": 1}, {}, 0),
        ("[1, 2]", [2, 1], {}, 0),
        ('{"a": 1, "b": 2}', {"a": 1}, {}, 0),
        ('{"a": 1}', '{"a":1}', {}, 1),
        ('"Paris"', "Paris", {}, 1),
        ("0.3001", 0.3, {"tolerance": 0.001}, 1),
        ("nonsense", {"a": 1}, {}, 0),
        (str(10**30), 10**30, {}, 1),
    ],
)
def test_json_equal(text: str, target: Any, arguments: dict[str, Any], value: float) -> None:
    """JSON values are compared, not their spelling; true is not 1."""
    assert judge("json_equal", text, target, **arguments).value == value


SCHEMA = {
    "type": "object",
    "required": ["name"],
    "properties": {"name": {"type": "string", "pattern": "^[a-z]+$"}},
    "patternProperties": {"^n_": {"type": "integer"}},
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"name": "ada", "n_x": 3}', 1),
        ('{"name": "Ada"}', 0),
        ('{"name": "ada", "n_x": "3"}', 0),
        ("{}", 0),
        ("no json", 0),
    ],
)
def test_json_schema(text: str, value: float) -> None:
    """A text fits a schema given in the configuration, or as the target."""
    assert judge("json_schema", text, schema=SCHEMA).value == value
    assert judge("json_schema", text, SCHEMA).value == value
    assert judge("json_schema", text, json.dumps(SCHEMA)).value == value


def test_json_schema_says_where() -> None:
    """A text that does not fit names the place of the first problem."""
    assert "$.name" in judge("json_schema", '{"name": 1}', schema=SCHEMA).explanation


def test_json_schema_fetches_nothing() -> None:
    """A reference to another address is a reason for null, not a request."""
    score = judge("json_schema", "{}", schema={"$ref": "http://127.0.0.1:9/schema.json"})
    assert score.value is None
    assert "127.0.0.1:9" in score.explanation


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"$ref": "#"}, "the schema refers to itself without end"),
        ({"$ref": "#/x"}, "the schema refers to what it does not hold: '/x'"),
        ({"$ref": "#x"}, "the schema refers to what it does not hold: 'x'"),
        ({"$ref": "#/x", "x": 5}, "the schema refers to what is no schema"),
        ({"items": {"$ref": "#"}}, "the JSON is nested too deeply for the schema"),
    ],
)
def test_json_schema_that_cannot_be_followed(schema: Any, reason: str) -> None:
    """The reason is in words."""
    text = "[" * 400 + "]" * 400 if "items" in schema else "1"
    score = judge("json_schema", text, schema=schema)
    assert (score.value, score.explanation) == (None, reason)


def test_json_schema_pattern_is_bounded() -> None:
    """A catastrophic pattern inside a schema ends in null, not in a hang."""
    text = json.dumps("a" * 60 + "b")
    assert judge("json_schema", text, schema={"pattern": "(a|aa)+$"}).value is None


def call(name: str, **arguments: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"id": "call_1", "type": "function", "function": function}


WEATHER = {"name": "weather", "arguments": {"city": "Rome", "days": 2}}


@pytest.mark.parametrize(
    ("calls", "target", "arguments", "value"),
    [
        ([call("weather", days=2, city="Rome")], WEATHER, {}, 1),
        ([call("weather", city="Rome")], WEATHER, {}, 0),
        ([call("weather", city="Rome", days=2, unit="C")], WEATHER, {}, 0),
        ([call("weather", city="Rome", days=2, unit="C")], WEATHER, {"arguments": "subset"}, 1),
        ([call("weather", city="Oslo")], WEATHER, {"arguments": "ignore"}, 1),
        ([call("weather", city="Oslo")], "weather", {}, 1),
        ([call("weather", city="Oslo")], json.dumps(WEATHER), {}, 0),
        ([call("a"), call("b")], ["b", "a"], {}, 1),
        ([call("a"), call("b")], ["b", "a"], {"ordered": True}, 0),
        ([call("a"), call("b")], ["a"], {}, 0),
        ([call("a"), call("b")], ["a"], {"extra_allowed": True}, 1),
        ([call("a")], ["a", "a"], {}, 0),
        (None, [], {}, 1),
        ([call("a")], [], {}, 0),
        (None, "weather", {}, 0),
        # The greedy choice would give the first call away to the wrong expectation.
        (
            [call("f", x=1, y=2), call("f", x=1)],
            [{"name": "f", "arguments": {"x": 1}}, {"name": "f", "arguments": {"y": 2}}],
            {"arguments": "subset"},
            1,
        ),
        (
            [{"function": {"name": "f", "arguments": "{broken"}}],
            {"name": "f", "arguments": {}},
            {},
            0,
        ),
        ([call("f")], {"arguments": {}}, {}, None),
    ],
)
def test_tool_call(calls: Any, target: Any, arguments: dict[str, Any], value: float | None) -> None:
    """Calls are matched one to one with the expected ones, by name and arguments."""
    assert judge("tool_call", None, target, calls=calls, **arguments).value == value


MODULE = """
from evalharness.scoring import Score

def length(sample, limit):
    return len(sample.text) <= limit

def half(sample):
    return 0.5

def rich(sample):
    return Score(1.0, "x", "because " + sample.fields["why"])

def nothing(sample):
    return None

def broken(sample):
    raise RuntimeError("out of order")

def huge(sample):
    return 7

def text(sample):
    return "1"

def text_in_a_score(sample):
    return Score("1", None, "")
"""


def test_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function of the user's own judges; what it raises or gets wrong is a null with a reason."""
    (tmp_path / "my_scorers_under_test.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    path = "my_scorers_under_test"

    assert judge("python", "abc", path=f"{path}.length", args={"limit": 3}).value == 1
    assert judge("python", "abcd", path=f"{path}:length", args={"limit": 3}).value == 0
    assert judge("python", "abc", path=f"{path}.half").value == 0.5
    assert judge("python", "abc", path=f"{path}.nothing").value is None
    assert "out of order" in judge("python", "abc", path=f"{path}.broken").explanation
    assert judge("python", "abc", path=f"{path}.broken").value is None
    assert "outside 0..1" in judge("python", "abc", path=f"{path}.huge").explanation
    for function in ("text", "text_in_a_score"):
        score = judge("python", "abc", path=f"{path}.{function}")
        assert (score.value, score.explanation) == (None, "the function gave a text, not a number")
    entries = [{"path": f"{path}.rich"}, {"path": f"{path}:half"}, {"path": f"{path}.half"},
               {"path": f"{path}.half", "label": "mine"}]  # fmt: skip
    scorers = parse_scoring([{"name": "python", **entry} for entry in entries])
    assert [scorer.label for scorer in scorers] == ["rich", "half", "half_2", "mine"]
    rich = scorers[0]
    score = rich.score(Sample(text="abc", fields={"why": "of the field"}))
    assert score == Score(1.0, "x", "because of the field")


@given(st.text(st.sampled_from("a7.,-$e1 2\n\u22124٤é"), max_size=60))
def test_last_number_is_the_last_of_all(text: str) -> None:
    found = [*find_numbers(text)]
    expected = canonical_number(found[-1]) if found else None
    assert last_number_text(text) == expected
    assert find_number(text, "last") == (found[-1] if found else None)
