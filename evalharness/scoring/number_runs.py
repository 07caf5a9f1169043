r"""Digits with signs between them, read as the number they are: ``1.234.567``, ``9{,}500``.

What can be read in two ways is not read at all: a wrong number is worse than none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from evalharness.scoring.number_locale import NumberLocale

SPACES = "\u00a0\u2004-\u200a\u202f\u205f\u3000"
_THREE = r"(?=\d{3}(?!\d))"
_ZERO_GROUP = r"(?=0\d\d(?!\d))"  # no number of its own begins with a zero
# Signs between digits that make one run of them; those that mostly part numbers only where a group
# of three digits follows.
_COMMON_JOINS = (
    rf"[.,\u066b\u066c\uff0e](?=\d) | (?:\\?_)+(?=\d) | ['’]{_THREE} | [{SPACES}]{_THREE}"
    rf" | \{{[.,]\}}(?=\d) | ,\\!(?=\d) | \{{?\\(?:[,;:!\ ]|thinspace\ ?)\}}?{_THREE}"
    rf" | ~{_ZERO_GROUP} | (?<=[０-９])，(?=[０-９]) | ，{_ZERO_GROUP}"
    # Signs that are read with no locale, so that no half of a number is taken for all of it.
    r" | \\[,!](?=\d) | [\u201a´‘ʼ](?=\d) | ·(?=\d)(?!10(?!\d))"
)
JOIN = rf"(?:{_COMMON_JOINS} | \ {_THREE})"
_SPLIT = re.compile(rf"({JOIN})", re.VERBOSE)
_PLAIN_SPACE = re.compile(r"(?<=\d) (?=\d)")
_CAN_GROUP = re.compile(rf"[1-9]\d{{0,2}}(?:[{SPACES}'’]\d{{3}})*")
_SPACE_NO_ZERO = re.compile(r"(?<=\d) (?=[^0])")
_UNREAD = re.compile(r"(?:\\?_){2,}|[\u201a´‘ʼ·]")
_KINDS = {
    "．": ".", "{.}": ".", "，": ",", ",\\!": ",", "’": "'", "\\_": "_",
    "{,}": "{", "\u066b": "D", "\u066c": "A",
}  # fmt: skip
_PLAIN = frozenset(".,'_")
_MAX_RUN = 1_000  # characters of a run that is read


def read_run(run: str, form: NumberLocale) -> tuple[str | None, ...]:
    """The numbers of a run of digits, as ``Decimal`` reads them; None for one that is unclear."""
    if len(run) > _MAX_RUN:
        return (None,)
    return (run,) if run.isdecimal() else _read_run(run, form)


@lru_cache(maxsize=4096)
def _read_run(run: str, form: NumberLocale) -> tuple[str | None, ...]:
    if form.decimal == "." and " " in run and len(pieces := _pieces(run)) > 1:
        return tuple(number for piece in pieces for number in _read_run(piece, form))
    return _read_piece(run, form)


def _pieces(run: str) -> list[str]:
    """Part a run at plain spaces that can group no digits, as in ``2024 300``."""
    pieces: list[str] = []
    can_group = False
    for part in _PLAIN_SPACE.split(run):
        if can_group:
            pieces[-1] += f" {part}"
        else:
            pieces.append(part)
        can_group = _CAN_GROUP.fullmatch(part) is not None or (can_group and part.isdecimal())
    return pieces


def _read_piece(run: str, form: NumberLocale) -> tuple[str | None, ...]:
    if form.decimal == "." and _SPACE_NO_ZERO.search(run) is not None:
        return (None,)  # one number, or several
    parts = _SPLIT.split(run)
    digits, kinds = parts[::2], [_kind(sign) for sign in parts[1::2]]
    if form.decimal == ",":
        kinds = ["," if kind == "{" else kind for kind in kinds]
    number = _one_number(digits, kinds, form)
    if number is not None:
        return (number,)
    if "?" in kinds or any(sign in ("\\,", "\\!") for sign in parts[1::2]):
        return (None,)
    if all(kind in " '" for kind in kinds):
        return tuple(digits)  # a space before three digits that does not group: "12345 678"
    if form.decimal == "." and all(kind in ".," for kind in kinds):
        return _list_of_numbers(digits, kinds)
    return (None,)


def _kind(sign: str) -> str:
    """Its kind: ``.``, ``,``, ``{`` for LaTeX's ``{,}``, ``D`` for a sure decimal sign.

    ``?`` is one that is not read, a space one that groups.
    """
    if sign in _PLAIN:
        return sign
    return "?" if _UNREAD.fullmatch(sign) else _KINDS.get(sign, " ")


def _one_number(digits: Sequence[str], kinds: Sequence[str], form: NumberLocale) -> str | None:
    """The number that all digits make; None where they do not."""
    if not kinds:
        return digits[0]
    if "?" in kinds:
        return None
    last, others = kinds[-1], set(kinds[:-1])
    if not others and last in (form.decimal, "D"):
        return f"{digits[0]}.{digits[1]}"
    if others <= {last}:
        if last != "D" and _is_grouped(digits, last):
            return "".join(digits)
        # No group of three: LaTeX's decimal comma, or a point in a text of another locale.
        decimal = not others and (last == "{" or (last == "." and form.decimal == ","))
        return f"{digits[0]}.{digits[1]}" if decimal else None
    if len(others) > 1 or last not in ".,{D":
        return None
    (group,) = others
    both_commas = group in ",{" and last in ",{"
    if both_commas or not _is_grouped(digits[:-1], group):
        return None
    return f"{''.join(digits[:-1])}.{digits[-1]}"


def _is_grouped(digits: Sequence[str], kind: str) -> bool:
    """Whether these are groups of a number: of three digits, or as in India (``12,34,567``)."""
    first, *rest = map(len, digits)
    if not 1 <= first <= 3 or int(digits[0][0]) == 0:
        return False
    if all(length == 3 for length in rest):
        return True
    return kind == "," and first <= 2 and rest[-1] == 3 and all(n == 2 for n in rest[:-1])


def _list_of_numbers(digits: Sequence[str], kinds: Sequence[str]) -> tuple[str | None, ...]:
    """The numbers of a list without spaces: ``1,2,3`` or ``0.5,0.25``; None where unclear."""
    texts = [digits[0]]
    for kind, group in zip(kinds, digits[1:], strict=True):
        if kind == ",":
            texts.append(group)
        else:
            texts[-1] += f".{group}"
    points = [text.count(".") for text in texts]
    unclear = (
        max(points) > 1
        or (len(texts) == 2 and not any(points))  # a decimal comma, or a pair
        or any(len(text.partition(".")[0]) >= 3 for text in texts[1:])  # perhaps groups
    )
    return (None,) if unclear else tuple(texts)
