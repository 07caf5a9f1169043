"""What a template makes of a value is text, a number or JSON; anything else is refused by name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.datasets import Renderer
from evalharness.errors import DatasetError
from evalharness.records import Prompt

FIELDS: dict[str, Any] = {
    "none_yet": None, "meta": {"score": None, "ok": True}, "words": ["b", "a"], "gaps": ["x", None],
    "name": "abc", "n": 3,
}  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


def _rendered(template: str, **fields: Any) -> str:
    row = Prompt(prompt_id="q", messages=None, source="a.jsonl:7", fields=fields or FIELDS)
    content = Renderer(template, None).messages(row)[0]["content"]
    assert isinstance(content, str)
    return content


def _refusal(template: str) -> str:
    with pytest.raises(DatasetError) as caught:
        _rendered(template)
    return str(caught.value)


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("V={{ none_yet }}", "`none_yet`"),
        ("V={{ meta.score }}", "`meta.score`"),
        ("V={{ fields['meta']['score'] | upper }}", "`fields.meta.score`"),
        ("V={{ none_yet | trim }}", "`none_yet`"),
        ("V={{ 'a' ~ none_yet }}", "`none_yet`"),
        ("V={{ gaps | join(' ') }}", "`gaps[1]`"),
        ("V={{ '%s' % none_yet }}", "`none_yet`"),
        ("V={{ '%s' | format(none_yet) }}", "`none_yet`"),
        ("V={{ '{}'.format(meta.score) }}", "`meta.score`"),
        ("V={{ name | replace('a', none_yet) }}", "`none_yet`"),
        ("{% macro m(x) %}{{ x }}{% endmacro %}V={{ m(none_yet) }}", "`none_yet`"),
        ("V={{ meta.get('other') }}", "`meta.get()`"),
        ("V={{ '{:>5}'.format(none_yet) }}", "`none_yet`"),
        ("V={{ none_yet | int }}", "`none_yet`"),
        ("V={{ meta.score | float }}", "`meta.score`"),
        ("V={{ gaps | map('int') | list }}", "`gaps[1]`"),
        ("V={{ none_yet | round }}", "`none_yet`"),
        ("V={{ none_yet | abs }}", "`none_yet`"),
        ("V={{ none_yet | length }}", "`none_yet`"),
    ],
)
def test_a_null_is_never_the_word_none(template: str, name: str) -> None:
    """However text is made of it: row, field and what to write instead are named."""
    said = _refusal(template)
    assert "a.jsonl:7" in said
    assert f"{name} is null" in said
    assert "default(" in said


def test_a_template_may_ask_for_null() -> None:
    """Tests, comparisons and defaults of a null are what Jinja says of none."""
    template = (
        "{{ none_yet is none }} {{ none_yet == null }} {{ none_yet is sameas none }} "
        "{{ none_yet in [none] }} {{ none_yet | default('d', true) }} {{ none_yet or 'o' }} "
        "{% if not none_yet %}no{% endif %} {{ gaps | reject('none') | join }}"
    )
    assert _rendered(template) == "True True True True d o no x"


@pytest.mark.parametrize(
    "expression",
    ["name.upper", "name.upper ~ ''", "name.upper | trim", "'{}'.format(name.upper)",
     "'%s' % name.upper", "words | map('upper')", "meta.items()", "range(3)", "[name.upper]",
     "self", "namespace(a=1)", "'{0.items}'.format(meta)", "'{0.upper}'.format(name)",
     "'{m.keys}'.format_map({'m': meta})", "'{:{0.items}}'.format(meta)",
     "('{0.items}' | escape).format(meta)"],
)  # fmt: skip
def test_what_has_no_text_is_refused(expression: str) -> None:
    """A method, a generator or a view would be an address of this process's memory."""
    said = _refusal(f"V={{{{ {expression} }}}}")
    assert "a.jsonl:7" in said
    assert "0x" not in said


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("meta.k", "`meta` has no field `k`; it has score, ok"),
        ("fields.meta['k']", "`fields.meta` has no field `k`; it has score, ok"),
        ("words[7]", "the list `words` has no `7`"),
        ("meta.score.k", "`meta.score` is null, and has no `k`"),
        ("meta._path", "unsafe"),
    ],
)
def test_a_missing_part_is_named_by_its_place(expression: str, words: str) -> None:
    """Row, place and field; not the name of a Python class."""
    said = _refusal(f"V={{{{ {expression} }}}}")
    assert "a.jsonl:7" in said
    assert words in said
    assert "evalharness" not in said


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("words", '["b", "a"]'),
        ("meta", '{"score": null, "ok": true}'),
        ("words[:1]", '["b"]'),
        ("words ~ '!'", '["b", "a"]!'),
        ("words | sort | upper", '["A", "B"]'),
        ("meta | dictsort | join(';')", '["ok", true];["score", null]'),
        ("'%s' % (words | sort,)", '["a", "b"]'),
        ("'{0[0]} {0}'.format(words)", 'b ["b", "a"]'),
        ("(name, n)", '["abc", 3]'),
    ],
)
def test_lists_and_objects_are_json(expression: str, text: str) -> None:
    """Never Python's way of writing them, also behind filters, operators and methods."""
    assert _rendered(f"{{{{ {expression} }}}}") == text


@given(value=JSON)
def test_tojson_is_the_same_value_again(value: Any) -> None:
    """With every character as it is: a prompt is no web page."""
    text = _rendered("V={{ v | tojson }}", v=value)
    assert json.loads(text[2:]) == value
    assert _rendered("V={{ v }}", v=[value]) == f"V=[{text[2:]}]"
    assert _rendered("{{ v | tojson }}", v={"b": "<é&'>", "a": 1}) == '{"b": "<é&\'>", "a": 1}'
