"""Texts are compared without their case and punctuation where the options say so."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.scoring import Sample, parse_scoring
from evalharness.scoring.text_options import TextOptions


def caseless(text: str) -> str:
    """NFC of Unicode's canonical caseless form (D145), step by step."""
    folded = unicodedata.normalize("NFD", text).casefold()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", folded).casefold())


def test_every_character_is_compared_without_its_case() -> None:
    options = TextOptions(ignore_case=True, strip=False)
    # With a letter after it, so that none is compared by itself.
    texts = [chr(code) + "é" for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    assert [text for text in texts if options.apply(text) != caseless(text)] == []


# Letters that change more than their case or join others, and some that do not.
_ODD = st.sampled_from("aAéÉßẞıİǰŉΐΣςσﬁÅÅ≠〈각가ᄀ　ᅡᆨがか\u3099\u0301\u0308\u0345😀—’ 1.")


@given(st.text(_ODD, max_size=8) | st.text(max_size=8))
def test_texts_are_compared_without_their_case(text: str) -> None:
    assert TextOptions(ignore_case=True, strip=False).apply(text) == caseless(text)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("« Où ? » — l’été, 3.5 !", " Où    l’été 3.5 "),
        ("¿a_b_? “c”…", "a_b c"),
        ("−5 -5 é-", "−5 -5 é"),
        ("中文。（好）", "中文好"),
    ],
)
def test_punctuation_of_all_scripts(text: str, kept: str) -> None:
    options = TextOptions(ignore_punctuation=True, strip=False)
    assert options.apply(text) == kept


def test_options_are_those_of_each_scorer() -> None:
    # Targets are folded once a scorer: two scorers must not see each other's.
    strict, loose = parse_scoring(
        [{"name": "exact", "label": "a"}, {"name": "exact", "label": "b", "ignore_case": True}]
    )
    for _ in range(2):
        assert strict.score(Sample(text="paris", target="Paris")).value == 0
        assert loose.score(Sample(text="paris", target="Paris")).value == 1
