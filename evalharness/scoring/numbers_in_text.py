"""Numbers in running text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from itertools import islice
from typing import Any, Literal

from evalharness.scoring.base import UnscorableError, is_list, json_type

# A sign counts only where no letter or digit stands before it: "3-5" holds 3 and 5, "GPT-4"
# holds 4. Digits glued to a Latin letter ("x5") are a name; after other scripts they are numbers,
# since those write no space. Commas group digits in threes. The dot that ends a sentence is no
# decimal point.
_NUMBER = re.compile(
    r"""(?=[\d.+\-\u2212$\u20ac\u00a3\u00a5])  # only for speed: what a number can begin with
        (?<![A-Za-z0-9])(?<!\d\.)
        (?P<sign>[+\-\u2212])?(?:[$\u20ac\u00a3\u00a5])?
        (?P<digits>
            (?: \d{1,3}(?:,\d{3})+(?!\d) | \d+ ) (?:\.\d+)?
          | (?<!\.)\.\d+
        )
        (?P<exponent>[eE][+\-]?\d+(?!\w))?""",
    re.VERBOSE,
)


def numbers(text: str) -> Iterator[Decimal]:
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


def pick(text: str, which: Literal["first", "last", "only"]) -> Decimal | None:
    """Find the first, last or only number; None when there is none (or not only one)."""
    if which == "last":
        return _last(text)
    found = list(islice(numbers(text), 1 if which == "first" else 2))
    return found[0] if len(found) == 1 else None


# Greedy, so that they end at the last digit, or white space: no number has white space inside.
_TO_LAST_DIGIT = re.compile(r"(?s).*\d")
_TO_LAST_SPACE = re.compile(r"(?s).*\s")
_SHORT = 32  # characters of words whose numbers are kept


def _last(text: str) -> Decimal | None:
    """Find the last number, looking from the end at one word with a digit after the other."""
    number = _kept(_last_word(text))
    if number is not None:
        return number
    end = len(text)
    while digit := _TO_LAST_DIGIT.match(text, 0, end):
        space = _TO_LAST_SPACE.match(text, 0, digit.end())
        start = space.end() if space else 0
        word = text[start:end]
        number = (_kept if len(word) <= _SHORT else _last_in)(word)
        if number is not None:
            return number
        end = start
    return None


def _last_word(text: str) -> str:
    """What follows the last space, where answers stand; "" where that is long."""
    word = text[text.rfind(" ") + 1 :]
    return word if len(word) <= _SHORT else ""


def last_written(text: str) -> str | None:
    """The last number as :func:`written` spells it; None when there is none."""
    spelled = _spelled(_last_word(text))
    if spelled is not None:
        return spelled
    number = _last(text)
    return None if number is None else written(number)


def _last_in(word: str) -> Decimal | None:
    for match in reversed(list(_NUMBER.finditer(word))):
        number = _decimal(match)
        if number is not None:
            return number
    return None


_kept = lru_cache(maxsize=4096)(_last_in)  # a million outputs end in few different words


@lru_cache(maxsize=4096)
def written(number: Decimal) -> str:
    """One spelling for equal numbers: ``1,234.50`` and ``1234.5`` both give ``1234.5``."""
    if not number:
        return "0"
    if abs(number.adjusted()) > 40:
        return str(number.normalize())
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


@lru_cache(maxsize=4096)
def _spelled(word: str) -> str | None:
    number = _last_in(word)
    return None if number is None else written(number)


def as_numbers(target: Any) -> list[Decimal]:
    """Read a numeric target, or alternatives; of a text, its last number.

    Raises:
        UnscorableError: a target without a number in it.

    """
    several = target if is_list(target) else [target]
    if not several:
        raise UnscorableError("no target: the list of alternatives is empty")
    return [_as_number(one) for one in several]


_of_target = lru_cache(maxsize=4096)(_last)  # the outputs of a prompt come with its one target


def _as_number(value: Any) -> Decimal:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Decimal(repr(value))
    if isinstance(value, str):
        number = _of_target(value)
        if number is None:
            raise UnscorableError(f"the target {value!r} holds no number")
        return number
    raise UnscorableError(f"the target must be a number, got {json_type(value)}")
