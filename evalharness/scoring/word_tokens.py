"""Tokens of a text, for scorers that count words."""

from __future__ import annotations

import re
import string
from functools import lru_cache
from typing import Literal

from evalharness.scoring.text_options import TextOptions, UnicodeForm, is_punctuation

Unit = Literal["words", "characters"]

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_NO_ASCII_MARKS = str.maketrans("", "", string.punctuation)
_WORD = re.compile(r"[^\W_]+")


@lru_cache(maxsize=4)
def _folding(form: UnicodeForm | None) -> TextOptions:
    return TextOptions(strip=False, ignore_case=True, unicode_form=form)


def squad_tokens(
    text: str, *, articles: bool, unit: Unit, unicode_form: UnicodeForm | None = "NFC"
) -> list[str]:
    """Split as the SQuAD evaluation does: lower case, no punctuation, split at space.

    Source: Rajpurkar et al. 2016 (arXiv 1606.05250), evaluation script 1.1, with punctuation of
    all scripts instead of ASCII alone, and spellings of one text (composed and decomposed accents,
    ``ß`` and ``SS``) levelled. ``articles: false`` drops English a, an, the.
    """
    words = _folding(unicode_form).apply(text).translate(_NO_ASCII_MARKS)
    if not words.isascii():
        # Other scripts often write no space beside a mark.
        words = "".join(" " if is_punctuation(c) else c for c in words)
    if not articles:
        words = _ARTICLES.sub(" ", words)
    return _split_unit(words.split(), unit)


def word_tokens(text: str, *, unit: Unit, unicode_form: UnicodeForm | None = "NFC") -> list[str]:
    """Find the runs of letters and digits of any script, lower case, one spelling of a text."""
    return _split_unit(_WORD.findall(_folding(unicode_form).apply(text)), unit)


def _split_unit(words: list[str], unit: Unit) -> list[str]:
    # Scripts without spaces (Chinese, Japanese, Thai) are counted by character.
    return words if unit == "words" else [c for word in words for c in word]
