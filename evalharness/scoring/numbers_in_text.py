"""Numbers in running text, as decimals."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from itertools import islice
from typing import Any, Literal

from evalharness.scoring.base import UnscorableError, is_list, json_type

# A sign counts only where no letter or digit stands before it: "3-5" holds 3 and 5, "GPT-4"
# holds 4. Digits behind a Latin letter ("x5") are a name; behind other scripts they are numbers,
# since those write no space. Commas group digits in threes. The dot that ends a sentence is no
# decimal point.
_NUMBER = re.compile(
    r"""(?=[\d.+\-\u2212$\u20ac\u00a3\u00a5])  # for speed: characters that a number can begin with
        (?<![A-Za-z0-9])(?<!\d\.)
        (?P<sign>[+\-\u2212])?(?:[$\u20ac\u00a3\u00a5])?
        (?P<digits>
            (?: \d{1,3}(?:,\d{3})+(?!\d) | \d+ ) (?:\.\d+)?
          | (?<!\.)\.\d+
        )
        (?P<exponent>[eE][+\-]?\d+(?!\w))?""",
    re.VERBOSE,
)


def find_numbers(text: str) -> Iterator[Decimal]:
    """Find every number in the text, in order, exactly as written.

    Understands signs, decimal points, thousands separators (``1,234.5``), a currency sign before
    the digits and exponents. A percent sign is not applied: ``12%`` is 12. Fractions such as
    ``1/2`` are two numbers.
    """
    for match in _NUMBER.finditer(text):
        number = _decimal(match)
        if number is not None:
            yield number


def _decimal(match: re.Match[str]) -> Decimal | None:
    sign = "-" if match["sign"] in ("-", "\u2212") else ""
    try:
        number = Decimal(sign + match["digits"].replace(",", "") + (match["exponent"] or ""))
    except InvalidOperation:  # an exponent beyond what Decimal holds
        return None
    return number if number.is_finite() else None


def find_number(text: str, which: Literal["first", "last", "only"]) -> Decimal | None:
    """Find the first, last or only number; None when there is none (or not only one)."""
    if which == "last":
        return _last(text)
    candidates = list(islice(find_numbers(text), 1 if which == "first" else 2))
    return candidates[0] if len(candidates) == 1 else None


# Greedy, so that they end at the last digit, or white space: no number has white space inside.
_TO_LAST_DIGIT = re.compile(r"(?s).*\d")
_TO_LAST_SPACE = re.compile(r"(?s).*\s")
_SHORT = 32  # length of words whose numbers are cached


def _last(text: str) -> Decimal | None:
    """Find the last number, going from the end through the words that have a digit."""
    number = _last_in_cached(_last_word(text))
    if number is not None:
        return number
    end = len(text)
    while digit := _TO_LAST_DIGIT.match(text, 0, end):
        space = _TO_LAST_SPACE.match(text, 0, digit.end())
        start = space.end() if space else 0
        word = text[start:end]
        number = (_last_in_cached if len(word) <= _SHORT else _last_in_word)(word)
        if number is not None:
            return number
        end = start
    return None


def _last_word(text: str) -> str:
    """The word behind the last space, mostly the answer; "" where it is long."""
    word = text[text.rfind(" ") + 1 :]
    return word if len(word) <= _SHORT else ""


def last_number_text(text: str) -> str | None:
    """The last number as :func:`canonical_number` spells it; None when there is none."""
    spelled = _last_text_in(_last_word(text))
    if spelled is not None:
        return spelled
    number = _last(text)
    return None if number is None else canonical_number(number)


def _last_in_word(word: str) -> Decimal | None:
    for match in reversed(list(_NUMBER.finditer(word))):
        number = _decimal(match)
        if number is not None:
            return number
    return None


_last_in_cached = lru_cache(maxsize=4096)(_last_in_word)  # a million outputs end in few words


@lru_cache(maxsize=4096)
def canonical_number(number: Decimal) -> str:
    """The canonical text of a number: ``1,234.50`` and ``1234.5`` both give ``1234.5``."""
    if not number:
        return "0"
    if abs(number.adjusted()) > 40:
        return str(number.normalize())
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


@lru_cache(maxsize=4096)
def _last_text_in(word: str) -> str | None:
    number = _last_in_word(word)
    return None if number is None else canonical_number(number)


def target_numbers(target: Any) -> list[Decimal]:
    """Read a numeric target, or alternatives; of a text, its last number.

    Raises:
        UnscorableError: a target without a number in it.

    """
    values = target if is_list(target) else [target]
    if not values:
        raise UnscorableError("no target: the list of alternatives is empty")
    return [_target_number(value) for value in values]


_last_cached = lru_cache(maxsize=4096)(_last)  # all outputs of a prompt have one target


def _target_number(value: Any) -> Decimal:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Decimal(repr(value))
    if isinstance(value, str):
        number = _last_cached(value)
        if number is None:
            raise UnscorableError(f"the target {value!r} holds no number")
        return number
    raise UnscorableError(f"the target must be a number, got {json_type(value)}")
