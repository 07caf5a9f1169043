"""Labels of multiple-choice answers: which one a text chooses."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

_AROUND = "()[]{}<>*_`\"'“”‘’.,:;!$。：）（】【 \n"  # what may stand around a label
LETTERS = tuple("ABCDEFGH")  # no I: it is a word

_BEFORE = r"(?<![A-Za-z0-9À-ɏ])"  # Latin only: other scripts write no space before a label
_AFTER = r"(?![A-Za-z0-9À-ɏ])"
# Bounded, and no two ways to read one character: linear on any text.
_ANSWER_IS = (
    r"(?i:answer|choice|option|choose|pick|select|答案|选项|选择)"
    r"(?:[\W_]|is|是|为|boxed|text){0,12}?"
)
# Behind the label: "A is the answer", "B is correct."
_IS_ANSWER = (
    r"[)\]*_\"'”’$}]{0,4}\s{0,3}(?i:(?:is|would\ be|must\ be|has\ to\ be)\s{1,3}"
    r"(?:(?:clearly|therefore|thus|definitely|indeed)\s{1,3})?"
    r"(?:(?:the|my)\s{1,3}(?:\w{1,12}\s{1,3})?(?:answer|choice|option)(?!\w)|(?:the\s{1,3})?"
    r"(?:correct|right)(?:\s{1,3}(?:answer|choice|option|one))?(?=\s*(?:[.,;!:)]|\Z|\n))))"
    r"|[)\]*_]{0,4}\s?(?:是|为)(?:正确|最佳)?的?(?:答案|选项)|[)\]*_]{0,4}\s?是正确的"
)
_DENIED_BEHIND = (
    r"[)\]*_\"'”’$}]{0,4}(?:,?\s{1,3}which)?\s{1,3}(?i:(?:(?:is|was|are|were|would|could|can|must"
    r"|does|do|seems|looks)(?:n['’]t|\s{1,3}(?:\w{2,12}ly\s{1,3})?(?:be\s{1,3})?(?:not|wrong|incorrect"
    r"|false|never|ruled\ out|eliminated|excluded))|can(?:not|['’]t|\ not))(?!\w))"
    r"|[)\]*_]{0,4}\s?(?:不|错)"
)
# Before the label: "not B", "neither A nor B", "I don't think the answer is B", "不是B".
_NOT = (
    r"(?i:\b(?:not|never|neither|nor|except|excluding|cannot|rather\ than|instead\ of)\b"
    r"|n['’]t\b)"
)
_BETWEEN = (
    r"(?:be|is|that|the|option|choice|answer|right|correct|best|necessarily|definitely|think"
    r"|believe|say|either|choose|pick|select|it|it['’]s)"
)
_DENIED_BEFORE = re.compile(
    rf"(?:{_NOT}[ \t]+(?:(?i:{_BETWEEN})[ \t]+){{0,8}}"
    r"|(?:不|非|没有?)(?:应该?|能|可能)?[是选为]?(?:选项)?\s?)[(\[{<*_\"'`“‘$]{0,4}\Z"
)
_DENIED_REACH = 80  # characters before a label in which it can be denied
_QUESTION = r"[)\]*_\"'”’$}]{0,4}\s?[?？]"
_OPENS, _CLOSES = r"[(\[{<*_\"'`“‘$]{0,4}", r"[)\]}>*_\"'`”’$]{0,4}"
# Between the labels of a list; a comma or "and" may begin a new clause instead.
_OR = r"(?:,?\s{0,3}(?i:\b(?:or|nor|and/or)\b)\s{1,3}|\s?[/&+]\s?|\s?(?:或者?|及|、)\s?)"
_AND = r"(?:,?\s{0,3}(?i:\b(?:and|as\ well\ as)\b)\s{1,3}|,\s{0,3}|\s?[和与]\s?)"
_NAME = r"(?i:(?:both|either|also|the|maybe|perhaps|possibly|option|choice|answer)\s{1,3}){0,3}"
# A correction: "The answer is A. No, C."
_CORRECTED = (
    r"(?i:(?:\A|(?<=[.!?…,;—\n-])|(?<=[.!?…,;—-]\s))(?:no|wait|actually|sorry|correction))"
    r"[\s,.:;!—–…-]{1,4}"
    r"(?i:(?:no|actually|rather|it\ is|it['’]s|make\ (?:that|it)|i\ mean)[\s,.:]{1,3}){0,3}"
)
_WRONG = re.compile(r"(?i:\b(?:wrong|incorrect|false|not|isn['’]t|never)\b)|不|错")
# Letters and digits in the forms of other scripts and of mathematics: full-width, circled, bold.
_FORMS = ((0xFF10, 0xFF19), (0xFF21, 0xFF3A), (0xFF41, 0xFF5A), (0x24B6, 0x24E9),
          (0x2460, 0x2468), (0x1D400, 0x1D7FF))  # fmt: skip


@lru_cache(maxsize=1)
def _plain_letters() -> dict[int, str]:
    """ASCII letters and digits by their other forms."""
    codes = (code for first, last in _FORMS for code in range(first, last + 1))
    plain = {code: unicodedata.normalize("NFKC", chr(code)) for code in codes}
    return {code: char for code, char in plain.items() if len(char) == 1 and char.isascii()}


def plain_label(text: str) -> str:
    """The text with letters and digits in their plain form (``Ｂ``, ``Ⓑ`` become ``B``)."""
    return text if text.isascii() else text.translate(_plain_letters())


class _Patterns(NamedTuple):
    leading: re.Pattern[str]  # "B) Paris"
    stated: re.Pattern[str]  # "the answer is B"
    named: re.Pattern[str]  # "B is the answer"
    corrected: re.Pattern[str]  # "No, C."
    several_behind: re.Pattern[str]  # " or C" behind a label
    several_before: re.Pattern[str]  # "C or " before one
    first_line: re.Pattern[str]  # the beginning of every line of "B: Paris\n\nA: London is wrong"
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
        alone = rf"(?P<label>{any_label}){_AFTER}(?!['’]\w)(?!(?<=A)\s+(?!(?:or|and|nor)\b)[a-z])"
        named = rf"(?P<label>{any_label})"
        other = f"(?:{any_label}){_AFTER}"
    else:
        stated = rf"(?P<label>(?i:{any_label}))"
        named = rf"(?P<label>(?i:{any_label}))"
        alone = f"{named}{_AFTER}"
        other = f"(?i:{any_label}){_AFTER}"
    item = f"{_NAME}{_OPENS}{other}{_CLOSES}"
    more = f"(?:(?:{_OR}|{_AND}){item}){{0,12}}"
    return _Patterns(
        leading=re.compile(rf"[\W_]{{0,4}}(?P<label>(?i:{any_label}))[*_]{{0,3}}[)\].:：、][^\n]*"),
        stated=re.compile(f"{_BEFORE}{_ANSWER_IS}{stated}{_AFTER}(?!{_DENIED_BEHIND}|{_QUESTION})"),
        named=re.compile(f"{_BEFORE}{named}(?:{_IS_ANSWER})(?!\\s?[?？])"),
        corrected=re.compile(rf"{_CORRECTED}{_OPENS}{named}{_AFTER}{_CLOSES}\s*(?=[.!\n]|\Z)"),
        several_behind=re.compile(
            rf"{_CLOSES}(?:\s?\([^()\n]{{1,60}}\))?(?:{_OR}{item}"
            # The clause ends with the list, or else another one has begun.
            rf"|{more}(?:,?\s{{0,3}}(?i:\b(?:or|and)\b)\s{{1,3}}|\s?[和与]\s?){item}"
            rf"(?!{_CLOSES}\s+(?i:is|are|was|were|would|does|do|has|have|can|could|being|might|may|must)\b)"
            rf"|(?:,\s{{0,3}}{item}){{1,12}}\s*(?=[.;!\n]|\Z))"
        ),
        several_before=re.compile(rf"{_BEFORE}{other}{_CLOSES}(?:{_OR}|{_AND}){_NAME}{_OPENS}\Z"),
        first_line=re.compile(
            rf"^[\W_]{{0,4}}(?P<label>(?i:{any_label}))[*_]{{0,3}}[)\].:：、](?P<rest>[^\n]*)",
            re.MULTILINE,
        ),
        alone=re.compile(f"{_BEFORE}{alone}"),
    )


@lru_cache(maxsize=256)
def labels_by_casefold(labels: tuple[str, ...]) -> Mapping[str, str]:
    """Labels by their casefolded form."""
    return {label.casefold(): label for label in labels}


def find_label(text: str, labels: tuple[str, ...] = LETTERS) -> str | None:
    """Find the label that the text chooses, as spelled in ``labels``; None for none or several.

    In this order: the text is nothing but a label, with or without brackets and marks; it is one
    line that begins with a label and ``)``, ``]``, ``.`` or ``:``; the last "the answer is X" or
    "X is the answer" and then "No, Y.", and none where it names several; the label that the first
    line begins with, unless the text goes through the labels one by one; the only label that stands
    alone in the text. A label that is denied ("not B") is not chosen.
    """
    canonical = labels_by_casefold(labels)
    text = text.strip()
    if not text.isascii() and all(label.isascii() for label in labels):
        text = plain_label(text)
    bare = canonical.get(text.strip(_AROUND).casefold())
    if bare is not None:
        return bare
    patterns = _patterns(labels)
    leading = patterns.leading.fullmatch(text)
    if leading is not None:
        return canonical.get(leading["label"].casefold())
    stated = [
        match
        for pattern in (patterns.stated, patterns.named)
        for match in pattern.finditer(text)
        if not _is_denied_before(text, match.start("label"))
    ]
    if stated:
        last = max(stated, key=lambda match: match.start("label"))
        for corrected in patterns.corrected.finditer(text, last.end("label")):
            last = corrected
        if _is_of_several(text, last, patterns):
            return None
        return canonical.get(last["label"].casefold())
    first = _first_line_label(text, patterns, labels)
    if first is not None:
        return first
    alone = list(patterns.alone.finditer(text))
    labels_alone = {canonical.get(match["label"].casefold()) for match in alone}
    if len(labels_alone) != 1 or any(
        _is_denied_before(text, match.start()) or _DENIED_OR_ASKED.match(text, match.end())
        for match in alone
    ):
        return None
    return labels_alone.pop()


_DENIED_OR_ASKED = re.compile(rf"{_DENIED_BEHIND}|{_QUESTION}\s+(?i:no|not|wrong)\b")


def _is_denied_before(text: str, start: int) -> bool:
    return _DENIED_BEFORE.search(text, max(0, start - _DENIED_REACH), start) is not None


def _is_of_several(text: str, stated: re.Match[str], patterns: _Patterns) -> bool:
    """Whether the label is one of a list: "A or B"."""
    start, end = stated.span("label")
    if patterns.several_behind.match(text, end) is not None:
        return True
    return patterns.several_before.search(text, max(0, start - _DENIED_REACH), start) is not None


def _first_line_label(text: str, patterns: _Patterns, labels: tuple[str, ...]) -> str | None:
    """The label that the text opens with, as in ``B: Paris`` and then why the others are wrong."""
    canonical = labels_by_casefold(labels)
    heads = [line.strip(_AROUND).casefold() for line in text.split("\n", 3)[:3] if line.strip()]
    if len(heads) > 1 and heads[0] in canonical and heads[1] not in canonical:
        return canonical[heads[0]]
    if patterns.leading.match(text) is None:
        return None
    lines = [
        (canonical[match["label"].casefold()], _WRONG.search(match["rest"]) is not None)
        for match in patterns.first_line.finditer(text)
    ]
    if not lines or lines[0][1]:
        return None
    line_labels = [label for label, _ in lines]
    # The options in their order are no choice, unless the text calls all others wrong.
    enumerated = len(line_labels) > 1 and line_labels == list(labels[: len(line_labels)])
    return None if enumerated and not all(wrong for _, wrong in lines[1:]) else line_labels[0]


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
