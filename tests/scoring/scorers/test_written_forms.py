"""JSON in Markdown, labels, words and calls in the forms that models and servers write."""

from __future__ import annotations

import json
from typing import Any

import pytest

from evalharness.scoring import Sample, Score, parse_answer_spec, parse_scoring


def judge(name: str, text: str | None, target: Any = None, **arguments: Any) -> Score:
    calls = arguments.pop("calls", None)
    scorer = parse_scoring([{"name": name, **arguments}])[0]
    tool_calls_json = None if calls is None else json.dumps(calls)
    return scorer.score(Sample(text=text, target=target, tool_calls_json=tool_calls_json))


@pytest.mark.parametrize(
    "text",
    [
        '```json\r\n{"k": 5}\r\n```',
        '~~~\n{"k": 5}\n~~~',
        '`````JSON\n{"k": 5}\n`````',
        '```json {"k": 5} ```',
        'Here: ```{"k": 5}``` it is.',
        '~~~json {"k": 5} ~~~',
        '```json\n{"k": 5}```',
        '```json title="x"\n{"k": 5}\n```',
        '```sh\n7\n```\n```json\n{"k": 5}\n```',
        '```\nnone\n```\n```\n{"k": 5}\n```',
        '```\n8\n```\nrather\n```json\n{"k": 5}\n```',
        '- so:\n  ```json\n  {"k": 5}\n  ```',
        '> ```json\n> {"k": 5}\n> ```',
        '    ```json\n    {"k": 5}\n    ```',
        '<answer>\n```json\n{"k": 5}\n```\n</answer>',
        '```json\n{"k": 5}',
    ],
)
def test_json_in_a_fence(text: str) -> None:
    """A CommonMark fence, or what models write for one, is read where that is asked for."""
    assert judge("json_equal", text, {"k": 5}, fenced=True).value == 1
    assert judge("json_equal", text, {"k": 5}).value == 0


@pytest.mark.parametrize("text", ['```python\n{"k": 5}\n```', '`{"k": 5}`', "```json\n{k}\n```",
             "```json5\n{}\n```"])  # fmt: skip
def test_no_json_in_a_fence(text: str) -> None:
    assert judge("json_valid", text, fenced=True).value == 0


def test_a_byte_order_mark_is_left_out() -> None:
    assert judge("json_equal", '\ufeff{"k": 5}', {"k": 5}).value == 1
    assert judge("json_equal", '\ufeff```json\n{"k": 5}\n```', {"k": 5}, fenced=True).value == 1


def test_a_longer_fence_holds_a_shorter_one() -> None:
    text = '````json\n{"k": "a ```b``` c"}\n````'
    assert judge("json_equal", text, {"k": "a ```b``` c"}, fenced=True).value == 1


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("C is the answer.", "C"),
        ("A would be the best choice, not B.", "A"),
        ("B is incorrect. D is correct.", "D"),
        ("The answer is A. No: D is the right answer.", "D"),
        ("C是正确答案", "C"),
        ("Ｄ", "D"),
        ("答案：Ｄ", "D"),
        ("Ⓓ", "D"),
        ("C: Rome\n\nA: Bern is wrong.\nB: Oslo, no.", "C"),
        ("A) Rome\n\nB) Bern is wrong.", "A"),
        ("C\n\nA and B are too far north.", "C"),
        ("Option B is wrong, so I pick C", "C"),
        ("A: Rome\nB: Bern\nC: Oslo", None),
        ("A. Bern is wrong.\nB. Rome is right.", None),
        ("C is not the answer, nor is D.", None),
        ("A city is the answer.", None),
    ],
)
def test_choice(text: str, label: str | None) -> None:
    assert judge("choice", text, "A").answer == label


@pytest.mark.parametrize(
    "text",
    [
        "A or B",
        "It could be A or B",
        "Both A and B are right",
        "The answer is either A or B",
        "The answer is neither A nor B",
        "The answer is A or B",
        "The answer is B and C",
        "The answer is A/B",
        "The answer is (A), (B) or (C).",
        "The answer is A (Rome) or B (Oslo).",
        "A or B is the answer",
        "答案是A或B",
        "The answer is not B",
        "The answer is definitely not B",
        "I don't think the answer is B.",
        "B is not the answer",
        "It cannot be B",
        "the answer is B is wrong",
        "答案不是B",
        "Is it B? No.",
    ],
)
def test_several_labels_or_a_denied_one_are_no_choice(text: str) -> None:
    score = judge("choice", text, ["A", "B", "C"])
    assert (score.value, score.answer) == (0, None)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("A is the answer? No, C.", "C"),
        ("The answer is A. No, C.", "C"),
        ("The answer is A or B. On reflection, the answer is B.", "B"),
        ("The answer is B, C and D are wrong.", "B"),
        ("The answer is (B), and (A) is wrong.", "B"),
        ("The answer is D) A and B", "D"),
        ("Not A. The answer is B.", "B"),
        ("Why not? The answer is B.", "B"),
    ],
)
def test_a_choice_beside_others_that_are_named(text: str, label: str) -> None:
    assert judge("choice", text, "A").answer == label


def test_no_that_is_not_it_is_a_no() -> None:
    labels = ["yes", "no"]
    assert judge("choice", "No, that is not right.", "no", labels=labels).value == 1
    assert judge("choice", "The answer is yes, no doubt.", "yes", labels=labels).value == 1
    assert judge("choice", "The answer is yes or no.", "yes", labels=labels).value == 0


def test_a_target_may_be_written_as_the_text_may() -> None:
    assert judge("choice", "B", "Ｂ").value == 1


@pytest.mark.parametrize("name", ["f1", "rouge", "similarity"])
@pytest.mark.parametrize(("text", "target"), [("é", "e\u0301"), ("각", "\u1100\u1161\u11a8")])
def test_spellings_of_one_text_are_equal(name: str, text: str, target: str) -> None:
    """As for `exact`, unless `unicode_form` is null."""
    assert judge(name, text, target).value == 1
    assert judge(name, text, target, unicode_form=None).value != 1


@pytest.mark.parametrize(
    ("given", "wanted", "value"),
    [
        ({"a": {"x": 1, "y": 2}, "b": 3}, {"a": {"x": 1}}, 1),
        ({"a": [{"x": 1, "y": 2}]}, {"a": [{"x": 1}]}, 1),
        ({"a": {"x": 5, "y": 2}}, {"a": {"x": 1}}, 0),
        ({"a": {"y": 2}}, {"a": {"x": 1}}, 0),
        ({"a": [{"x": 1}, {"x": 2}]}, {"a": [{"x": 1}]}, 0),
        (None, {}, 1),
        (None, None, 1),
        ({}, None, 1),
        ({"a": 1}, None, 1),  # a subset of none is all
    ],
)
def test_a_subset_at_every_depth(given: Any, wanted: Any, value: float) -> None:
    for arguments in (given, json.dumps(given)):
        calls = [{"function": {"name": "f", "arguments": arguments}}]
        target = {"name": "f", "arguments": wanted}
        assert judge("tool_call", None, target, calls=calls, arguments="subset").value == value


def test_null_arguments_are_no_arguments() -> None:
    """In the target and in the call; a target without the key accepts any."""
    some = [{"function": {"name": "f", "arguments": {"a": 1}}}]
    assert judge("tool_call", None, {"name": "f", "arguments": None}, calls=some).value == 0
    assert judge("tool_call", None, {"name": "f"}, calls=some).value == 1


@pytest.mark.parametrize(
    ("pattern", "text", "answer"),
    [
        (r"<(?:(yes)|(no))>", "<no>", "no"),
        (r"(\d+) m|(\d+) km", "8 km", "8"),
        (r"answer: (\w+)?", "answer: ", None),
    ],
)
def test_the_group_that_matched_is_the_answer(pattern: str, text: str, answer: str | None) -> None:
    extractor = parse_answer_spec({"regex": pattern})
    assert extractor is not None
    assert extractor.extract(text).answer == answer


@pytest.mark.parametrize(
    ("arguments", "warned"),
    [
        ({"pattern": r"is (\w+)"}, True),
        ({"pattern": r"is (\w+)", "group": 1}, False),
        ({"pattern": r"is (?:\w+)"}, False),
        ({}, False),
    ],
)
def test_a_group_that_nobody_compares_is_warned_of(arguments: Any, warned: bool) -> None:
    scorer = parse_scoring([{"name": "regex", **arguments}])[0]
    assert (scorer.warning() is not None) == warned
