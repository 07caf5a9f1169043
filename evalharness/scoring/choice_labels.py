"""Labels of multiple-choice answers: which one a text chooses."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

LETTERS = tuple("ABCDEFGH")  # no I: it is a word

_BEFORE = r"(?<![A-Za-z0-9À-ɏ])"  # Latin only: other scripts write no space before a label
_AFTER = r"(?![A-Za-z0-9À-ɏ])"
# Bounded, and no two ways to read one character: linear on any text.
_ANSWER_IS = (
    r"(?i:answer|choice|option|choose|pick|select|答案|选项|选择)"
    r"(?:[\W_]|is|是|为|boxed|text){0,12}?"
)


class _Patterns(NamedTuple):
    leading: re.Pattern[str]  # "B) Paris"
    stated: re.Pattern[str]  # "the answer is B"
    alone: re.Pattern[str]  # B standing by itself


@lru_cache(maxsize=256)
def _patterns(labels: tuple[str, ...]) -> _Patterns:
    # Longest first, so that "B" never hides "B2".
    ordered = sorted(labels, key=len, reverse=True)
    any_label = "|".join(re.escape(label) for label in ordered)
    if all(len(label) == 1 and label.isascii() and label.isupper() for label in labels):
        # Letters are read with their case, since "a" is a word. A lower-case one counts where
        # it ends its sentence; "A" before a lower-case word is an article.
        lower_labels = any_label.lower()
        stated = rf"(?P<label>{any_label}|(?:{lower_labels})(?=[^\w\s]|\s*\Z))"
        alone = rf"(?P<label>{any_label}){_AFTER}(?!['’]\w)(?!(?<=A)\s+[a-z])"
    else:
        stated = rf"(?P<label>(?i:{any_label}))"
        alone = rf"(?P<label>(?i:{any_label})){_AFTER}"
    return _Patterns(
        leading=re.compile(rf"[\W_]{{0,4}}(?P<label>(?i:{any_label}))[*_]{{0,3}}[)\].:：、][^\n]*"),
        stated=re.compile(f"{_BEFORE}{_ANSWER_IS}{stated}{_AFTER}"),
        alone=re.compile(f"{_BEFORE}{alone}"),
    )


@lru_cache(maxsize=256)
def labels_by_casefold(labels: tuple[str, ...]) -> Mapping[str, str]:
    """Labels by their casefolded form."""
    return {label.casefold(): label for label in labels}


def find_label(text: str, labels: tuple[str, ...] = LETTERS) -> str | None:
    """Find the label that the text chooses, as spelled in ``labels``; None for none or several.

    In this order: the text is nothing but a label, with or without brackets and marks; it is one
    line that begins with a label and ``)``, ``]``, ``.`` or ``:``; the last "the answer is X"; the
    only label that stands alone in the text.
    """
    canonical = labels_by_casefold(labels)
    text = text.strip()
    bare = canonical.get(text.strip("()[]{}<>*_`\"'“”‘’.,:;!$。：）（】【 \n").casefold())
    if bare is not None:
        return bare
    patterns = _patterns(labels)
    leading = patterns.leading.fullmatch(text)
    if leading is not None:
        return canonical.get(leading["label"].casefold())
    stated = [canonical.get(match["label"].casefold()) for match in patterns.stated.finditer(text)]
    if stated:
        return stated[-1]
    alone = {canonical.get(match["label"].casefold()) for match in patterns.alone.finditer(text)}
    return alone.pop() if len(alone) == 1 else None


def check_labels(labels: Sequence[str]) -> None:
    """Refuse labels that cannot be distinguished.

    Raises:
        ValueError: fewer than two labels, a blank one, or two that differ only by case.

    """
    if len(labels) < 2:
        raise ValueError("needs at least two labels")
    if any(not label.strip() for label in labels):
        raise ValueError("a label is blank")
    if len({label.casefold() for label in labels}) < len(labels):
        raise ValueError("two labels differ only by case")
