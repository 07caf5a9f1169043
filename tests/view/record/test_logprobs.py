"""Log probabilities of any form become tokens with a heat, or nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.view.record.logprobs import MAX_TOKENS, STEPS, read_heat

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda each: st.lists(each) | st.dictionaries(
        st.sampled_from(["content", "token", "logprob", "tokens", "token_logprobs",
                         "top_logprobs"]), each),
    max_leaves=12,
)  # fmt: skip


@given(JSON)
def test_any_json(value: Any) -> None:
    """A server may send anything; heats are steps, texts are texts."""
    heat = read_heat(json.dumps(value))
    for token in heat.tokens if heat else ():
        assert token.heat is None or 0 <= token.heat < STEPS
        assert isinstance(token.title, str)


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"content":null}', '{"content":[]}'])
def test_nothing(text: str | None) -> None:
    assert read_heat(text) is None


def test_both_forms() -> None:
    """Objects in a list, and the parallel lists of older servers, say the same."""
    objects = {"content": [{"token": "a", "logprob": 0, "top_logprobs": []},
                           {"token": "b", "logprob": -2.31,
                            "top_logprobs": [{"token": "c", "logprob": -0.105361}]}]}  # fmt: skip
    lists = {"tokens": ["a", "b"], "token_logprobs": [0, -2.31],
             "top_logprobs": [None, {"c": -0.105361}]}  # fmt: skip
    heat = read_heat(json.dumps(objects))
    assert heat == read_heat(json.dumps(lists))
    assert heat is not None
    assert [token.heat for token in heat.tokens] == [0, 9]
    assert heat.tokens[1].title == "9.9 %; “c” 90.0 %"
    assert [(number, token.text) for number, token in heat.least] == [(2, "b"), (1, "a")]
    assert heat.mean == "31.5 %"


def test_what_is_unknown_or_never() -> None:
    """No probability is no heat; −9999 is none that is possible."""
    items = [{"token": "a", "logprob": None}, {"token": "b", "logprob": -9999}, {"token": "c"}]
    heat = read_heat(json.dumps({"content": items}))
    assert heat is not None
    assert [token.heat for token in heat.tokens] == [None, STEPS - 1, None]
    assert [token.title for token in heat.tokens] == ["unknown", "0.0 %", "unknown"]


def test_many_tokens() -> None:
    """The first are shown, the others are counted, and the least probable of all are named."""
    items = [{"token": str(n), "logprob": -n / 10_000} for n in range(10_000)]
    text = json.dumps({"content": items})
    heat, whole = read_heat(text), read_heat(text, whole=True)
    assert heat is not None
    assert whole is not None
    assert (len(heat.tokens), heat.left) == (MAX_TOKENS, 10_000 - MAX_TOKENS)
    assert (len(whole.tokens), whole.left) == (10_000, 0)
    assert heat.least[0][0] == 10_000
