"""Answers extracted from an output."""

from __future__ import annotations

from typing import Any

import pytest

from evalharness.errors import ConfigError
from evalharness.scoring import parse_answer_spec


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("lastnumber", "`answer`: no extraction is called 'lastnumber'"),
        ({"regx": "a"}, "unknown configuration key `answer.regx`"),
        ({}, "no step is given"),
        ({"last_number": False}, "no step is given"),
        ({"regex": "("}, "`answer.regex`: not a regular expression"),
        ({"regex": "a", "group": 2}, "`answer.group`"),
        ({"group": 2, "normalise": True}, "`answer.group`: needs a `regex`"),
        ({"json": "a..b"}, "`answer.json`: not a path"),
        ({"choice": ["a"]}, "`answer.choice`"),
        ({"choice": True, "last_number": True}, "`answer.choice`: cannot stand beside"),
        ({"normalise": 1}, "`answer.normalise`"),
        (["regex"], "`answer`: must be an object"),
    ],
)
def test_refused_answer(spec: Any, message: str) -> None:
    """A wrong answer extraction is refused by the key as typed."""
    with pytest.raises(ConfigError) as caught:
        parse_answer_spec(spec)
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("spec", "text", "answer"),
    [
        ({"regex": r"ANSWER: (\w+)"}, "ANSWER: a ANSWER: b", "b"),
        ({"regex": ".*"}, "so 4", "so 4"),
        ({"regex": ".*", "last_number": True}, "so 4", "4"),
        ({"regex": r"ANSWER: (\w+)", "which": "first"}, "ANSWER: a ANSWER: b", "a"),
        ({"regex": r"\d+"}, "no 12 of 34", "34"),
        ({"regex": r"(\w)=(\w)", "group": 2}, "x=y", "y"),
        ({"regex": r"(?P<k>\w)=(\w)", "group": "k"}, "x=y", "x"),
        ({"regex": "z"}, "none", None),
        ({"json": "a.b[1]"}, '{"a": {"b": [1, 2.5]}}', "2.5"),
        ({"json": "a"}, '{"a": "text"}', "text"),
        ({"json": "a"}, '{"a": null}', None),
        ({"json": "a[5]"}, '{"a": []}', None),
        ({"json": "a.b"}, '{"a": []}', None),
        ({"json": ""}, '```json\n{"b": 1, "a": 2}\n```', '{"a":2,"b":1}'),
        ("last_number", "1,234.50 in all", "1234.5"),
        ("last_number", "0.0", "0"),
        ("choice", "The answer is (c).", "C"),
        ({"choice": ["yes", "no"]}, "NO!", "no"),
        ("normalise", "  The  Answer!\n", "the answer"),
        ("normalise", "…", None),
        ({"regex": "answer: (.*)", "normalise": True}, "answer: PARIS.", "paris"),
        ({"regex": "costs (.*)", "last_number": True}, "7 costs 8 or 9", "9"),
        ("last_number", None, None),
        ("last_number", "", None),
    ],
)
def test_extraction(spec: Any, text: str | None, answer: str | None) -> None:
    """Each step takes what the one before found; nothing found is None."""
    extractor = parse_answer_spec(spec)
    assert extractor is not None
    assert extractor.extract(text).answer == answer


def test_extraction_of_a_hopeless_pattern() -> None:
    """A pattern over its time limit is told from an answer that is not there."""
    extractor = parse_answer_spec({"regex": "(a|aa)+$", "timeout_s": 0.05})
    assert extractor is not None
    assert extractor.extract("a" * 60 + "b").failed
    assert not extractor.extract("b").failed


def test_no_answer_spec() -> None:
    """Without a specification there is no extractor."""
    assert parse_answer_spec(None) is None
