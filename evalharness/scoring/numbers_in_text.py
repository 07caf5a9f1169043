"""Numbers in running text, as decimals."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from itertools import islice
from typing import Any, Literal

from evalharness.scoring.base import UnscorableError, is_list, json_type
from evalharness.scoring.number_locale import POINT, NumberLocale
from evalharness.scoring.number_runs import JOIN, read_run

_MINUS = "\\-\u2212\u2010-\u2013\ufe63\uff0d"  # hyphens, dashes and the minus sign
_SIGNS = f"{_MINUS}+\uff0b"
_CURRENCY = (  # Unicode's category Sc
    "$\u00a2-\u00a5\u058f\u060b\u09f2\u09f3\u0e3f\u17db\u20a0-\u20c0\ufdfc\ufe69\uff04\uffe0\uffe1"
    "\uffe5\uffe6"
)
_CODES = (
    "EUR|USD|GBP|JPY|CNY|RMB|CHF|INR|AUD|CAD|NZD|SEK|NOK|DKK|RUB|BRL|MXN|KRW|TRY|ZAR|PLN|CZK|HUF|"
    "SGD|HKD"
)
_FRACTIONS = "\u00bc-\u00be\u2150-\u215e"
_SUPERSCRIPTS = "\u2070\u00b9\u00b2\u00b3\u2074-\u2079\u207a\u207b"
_MAX_POWER = 100_000  # of ten, that a number is read up to
_BLANK = "[ \u00a0]"
_LATEX_PART = r"\s?(?:\{(?:[^{}]|\{[^{}]{0,40}\}){0,80}\}|\d)"  # of a fraction
_LATEX_FRACTION = rf"\\[dtc]?frac{_LATEX_PART}{_LATEX_PART}"
# Words behind a number that multiply it, as powers of ten, and those that are not read.
_SCALES = {
    "thousand": "3", "million": "6", "billion": "9", "trillion": "12", "lakh": "5", "crore": "7",
    **dict.fromkeys("万萬만", "4"), **dict.fromkeys("亿億억", "8"),
}  # fmt: skip
_SCALE = (
    r"(?P<scale>(?i:thousand|million|billion|trillion|lakh|crore)(?![^\W_])|[万萬만亿億억])"
    r"|(?P<unread_scale>(?i:hundred|dozen|quadrillion|thousands|[mbtr]+illions|lakhs|crores|tausend"
    r"|[mbt]n|Mio|Mrd|Tsd|mln|bln|mld|millionen|milliarden?|billionen|mill?iards?|milli?ones|millones)"
    r"(?![^\W_])|[百千十](?=[万萬亿億]))"
)


def _to_power(name: str) -> str:
    """A pattern of ``^3``, ``^{-3}``, ``**3`` (group ``name``) or ``³`` (``name_raised``)."""
    return (
        rf"{_BLANK}?(?:\^|\*\*(?=[\d{{(+\-])){_BLANK}?\{{?(?P<{name}>[+{_MINUS}]?\d{{1,6}})?\}}?"
        rf"|(?P<{name}_raised>[{_SUPERSCRIPTS}]+)"
    )


def _pattern() -> re.Pattern[str]:
    """The pattern of one run of digits with what belongs to it.

    A sign counts only where no operand stands before it: "3-5" holds 3 and 5, "GPT-4" holds 4.
    Digits behind a Latin letter ("x5") are a name; behind other scripts they are numbers, since
    those write no space. An exponent ("m^2") is no number. The dot that ends a sentence is no
    decimal point. Linear on any text.
    """
    return re.compile(
        rf"""(?=[\d.\\{_SIGNS}{_CURRENCY}{_FRACTIONS}])  # for speed: what a number can begin with
        (?: {_LATEX_FRACTION} |
        (?:(?<![A-Za-z\d])|(?<={_CODES}))(?<!\d[.,])
        (?<!\^)(?<!\^\{{)(?<!\^[{_SIGNS}])(?<!\^\{{[{_SIGNS}])(?<![A-Za-z\d)]\*\*)
        (?: (?<![A-Za-z\d%‰°)\]}}])(?<!\d[{_CURRENCY}])
            (?P<sign>[{_SIGNS}] | (?:(?<=[=≈])|(?<=[=≈]\ ))[{_MINUS}]\ (?=[\d.{_CURRENCY}]))
            (?:(?:{_CODES})\ ?)?
        )?
        (?:[A-Z]{{0,3}}[{_CURRENCY}]{_BLANK}?)?
        (?: (?P<other>[{_FRACTIONS}] | 0[xXbBoO][0-9A-Fa-f]+)
          | (?P<run>\d+(?:{JOIN}\d+)* | (?<!\.)\.\d+(?!\.\d))
            (?P<e>[eE][+{_MINUS}]?\d+(?!\w))?
            (?: {_BLANK}?(?:[×·⋅*xX]|\\times|\\cdot){_BLANK}?10(?:{_to_power("tens")})(?!\d)
              | (?P<raised>{_to_power("own")}) | {_BLANK}?(?P<fraction>[{_FRACTIONS}]|\u2044\d*)
              # Perhaps a power whose sign for it was lost ("2.5×10−3"), or "1.5M", "5k".
              | (?P<unclear>{_BLANK}?[×·⋅*xX]{_BLANK}?10[{_SIGNS}]\d{{1,3}}(?![\d.])
                  | {_LATEX_FRACTION} | (?:[kKMBT]|[mb]n)(?!\w))
              | [\-\u00a0\ ]?(?:{_SCALE}) )?
        ))""",
        re.VERBOSE,
    )


_NUMBER = _pattern()
_ASCII_MINUS = str.maketrans(dict.fromkeys("\u2212\u2010\u2011\u2012\u2013\ufe63\uff0d", "-"))
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")


def find_numbers(text: str, form: NumberLocale = POINT) -> Iterator[Decimal | None]:
    r"""Find every number in the text, in order, exactly as written; None where one is unclear.

    Understands signs, decimal points, groups of digits (``1,234.5``, ``1.234.567``, ``12 345`` with
    a no-break space, ``1_000``, LaTeX's ``9{,}500`` and ``10\,000``), a currency sign before the
    digits, exponents and powers of ten, and words such as ``million``. A percent sign is not
    applied: ``12%`` is 12. Fractions such as ``1/2`` are two numbers. ``form`` says
    which sign is the decimal one.
    """
    return _find(text, form, 0, len(text))


def _find(text: str, form: NumberLocale, start: int, end: int) -> Iterator[Decimal | None]:
    scaled_to = -1
    for match in _NUMBER.finditer(text, start, end):
        # "5 million 200 thousand", "5万2": one number or two.
        if scaled_to >= 0 and not text[scaled_to : match.start()].strip():
            yield None
        else:
            yield from _numbers_of(match, form)
        scaled_to = match.end() if match["scale"] else -1


def _numbers_of(match: re.Match[str], form: NumberLocale) -> Iterator[Decimal | None]:
    run: str | None = match["run"]
    if run is None:
        yield None
        return
    *before, last = read_run(run, form)
    sign = "-" if match["sign"] and match["sign"][0] not in "+\uff0b" else ""
    for number in before:
        yield _decimal(sign, number, "")
        sign = ""
    yield _decimal(sign, *_with_exponent(match, last))


def _with_exponent(match: re.Match[str], number: str | None) -> tuple[str | None, str]:
    """The number and the exponent of ten that stands behind it; None where it is another power."""
    tens = match["tens"] or (match["tens_raised"] or "").translate(_RAISED)
    if tens:
        return (None, "") if match["e"] else (number, f"e{tens}")
    if match["fraction"] or match["unclear"] or match["unread_scale"]:
        return None, ""
    if match["scale"]:
        return (None, "") if match["e"] else (number, f"e{_SCALES[match['scale'].lower()]}")
    if match["raised"]:
        own = match["own"] or (match["own_raised"] or "").translate(_RAISED)
        return ("1", f"e{own}") if match["run"] == "10" and own and not match["e"] else (None, "")
    return number, match["e"] or ""


def _decimal(sign: str, number: str | None, exponent: str) -> Decimal | None:
    if number is None:
        return None
    try:
        value = Decimal(f"{sign}{number}{exponent.translate(_ASCII_MINUS)}")
    except InvalidOperation:  # an exponent beyond what Decimal holds
        return None
    return value if abs(value.adjusted()) <= _MAX_POWER else None


def find_number(
    text: str, which: Literal["first", "last", "only"], form: NumberLocale = POINT
) -> Decimal | None:
    """Find the first, last or only number; None when there is none (or not only one)."""
    if which == "last":
        return _last(text, form)
    candidates = list(islice(find_numbers(text, form), 1 if which == "first" else 2))
    return candidates[0] if len(candidates) == 1 else None


_TO_LAST_DIGIT = re.compile(rf"(?s).*[\d{_FRACTIONS}]")  # greedy, so that it ends at the last
_BREAKS = ("\n", ". ", ", ", "; ", ": ", "! ", "? ", "。", "、")  # no number goes across one
_SHORT = 32  # length of words whose numbers are cached
_BEHIND = 24  # characters behind the last digit that belong to a number
# A number may go on before the space in front of such a word, or behind such a character.
_NOT_ALONE = re.compile(rf"[\^*{_SUPERSCRIPTS}{_FRACTIONS}]|\}}\{{|\A\{{")
_GOES_ON = re.compile(rf"(?:[\d=≈×·⋅xX}}\\{_SIGNS}{_CURRENCY}]|{_CODES})\Z")


def _last(text: str, form: NumberLocale) -> Decimal | None:
    """Find the last number, going from the end."""
    space = text.rfind(" ")  # the word behind it mostly is the answer
    if len(text) - space <= _SHORT:
        before = text[space - 1 : space] if space > 0 else ""
        if (before.islower() and before != "x") or not _GOES_ON.search(
            text, max(0, space - 3), max(0, space)
        ):
            numbers = _last_in_word(text[space + 1 :], form)
            if numbers:
                return numbers[0]
    return _last_from_end(text, form)


def _last_from_end(text: str, form: NumberLocale) -> Decimal | None:
    end = len(text)
    while digit := _TO_LAST_DIGIT.match(text, 0, end):
        reach = 256
        while True:
            low = max(0, digit.end() - reach)
            starts = [text.rfind(sign, low, digit.end()) for sign in _BREAKS]
            start = max(starts) + 1
            if start or not low:
                break
            reach *= 8
        numbers = [*_find(text, form, start, min(len(text), digit.end() + _BEHIND))]
        if numbers:
            return numbers[-1]
        end = start
    return None


@lru_cache(maxsize=4096)  # a million outputs end in few words
def _last_in_word(word: str, form: NumberLocale) -> tuple[Decimal | None, ...]:
    """The last number of a word; () where it has none, or what is before may belong to it."""
    return () if _NOT_ALONE.search(word) else tuple(_find(word, form, 0, len(word)))[-1:]


def last_number_text(text: str, form: NumberLocale = POINT) -> str | None:
    """The last number as :func:`canonical_number` spells it; None when there is none."""
    return canonical_number(_last(text, form))


@lru_cache(maxsize=4096)
def canonical_number(number: Decimal | None) -> str | None:
    """The canonical text of a number: ``1,234.50`` and ``1234.5`` both give ``1234.5``."""
    if number is None:
        return None
    if not number:
        return "0"
    if abs(number.adjusted()) > 40:
        return str(number.normalize())
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def target_numbers(target: Any, form: NumberLocale = POINT) -> list[Decimal]:
    """Read a numeric target, or alternatives; of a text, its last number.

    Raises:
        UnscorableError: a target without a number in it, or with one that is unclear.

    """
    values = target if is_list(target) else [target]
    if not values:
        raise UnscorableError("no target: the list of alternatives is empty")
    return [_target_number(value, form) for value in values]


_last_cached = lru_cache(maxsize=4096)(_last)  # all outputs of a prompt have one target


def _target_number(value: Any, form: NumberLocale) -> Decimal:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Decimal(repr(value))
    if isinstance(value, str):
        number = _last_cached(value, form)
        if number is None:
            raise UnscorableError(f"the target {value!r} holds no number that can be read")
        return number
    raise UnscorableError(f"the target must be a number, got {json_type(value)}")
