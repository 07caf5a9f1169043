"""Which records a table shows, in which order and columns: the state that is its address."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from typing import Any, Literal, cast
from urllib.parse import urlencode

import msgspec

from evalharness.errors import ConfigError
from evalharness.records import Status

Unstable = Literal["", "output", "answer"]
MarkState = Literal["", "pass", "fail", "none", "any"]

STATUSES = tuple(status.value for status in Status)
UNSTABLE: tuple[Unstable, ...] = ("output", "answer")
MARK_STATES: tuple[MarkState, ...] = ("pass", "fail", "none", "any")

MAX_WORDS = 12
MAX_TEXT = 500  # characters of the search
MAX_PAGE = 10**9

# Python would take more for a number: underscores, digits of every script, nan.
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_DIGITS = re.compile(r"[0-9]{1,10}")


class BadParameterError(ConfigError):
    """A part of an address that means nothing; the message names it."""

    def __init__(self, name: str, value: str, choices: Iterable[str] | str) -> None:
        hint = choices if isinstance(choices, str) else f"one of: {', '.join(choices)}"
        super().__init__(f"`{name}` cannot be `{value[:80]}`", hint=hint)


class RecordFilter(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the table of records; what is empty or None restricts nothing.

    Attributes:
        text: words that are all in the prompt or the output, whatever their case; one with ``-``
            before it is in neither, and what stands in quotes is one word.
        settings: ids, of which one fits.
        prompt: the id of the prompt.
        statuses, finish_reasons: of which one fits.
        tags: all of which the prompt has.
        scorer: whose scores are meant by ``score``; empty is the first.
        min_score, max_score: of it, from 0 to 1, themselves included.
        min_latency, max_latency: seconds to the whole answer, themselves included.
        unstable: what differs between the repeats of the prompt under the setting.
        regressed: the run in which the prompt scored higher under the setting's counterpart.
        every: of these, only where no repeat scores as high as any repeat there.
        mark: what people say of the record.
        reader: who says so; empty is as :mod:`.marks` says.
        sort: a column; empty is the order of prompts, settings and repeats.
        reverse: from the highest to the lowest.
        page: from 1.
        columns: the columns to show, in this order; empty are those of most use.
    """

    text: str = ""
    settings: tuple[str, ...] = ()
    prompt: str = ""
    statuses: tuple[str, ...] = ()
    finish_reasons: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    scorer: str = ""
    min_score: float | None = None
    max_score: float | None = None
    min_latency: float | None = None
    max_latency: float | None = None
    unstable: Unstable = ""
    regressed: str = ""
    every: bool = False
    mark: MarkState = ""
    reader: str = ""
    sort: str = ""
    reverse: bool = False
    page: int = 1
    columns: tuple[str, ...] = ()

    @classmethod
    def of_query(cls, pairs: Iterable[tuple[str, str]]) -> RecordFilter:
        """What an address says; an empty value takes all of its parameter away, as in a form.

        Raises:
            BadParameterError: a parameter is unknown, or its value means nothing.
        """
        values: dict[str, list[str]] = {}
        for name, value in pairs:
            if name not in _PARAMETERS:
                raise ConfigError(
                    f"there is no filter `{name[:80]}`", hint=f"one of: {', '.join(_PARAMETERS)}"
                )
            values.setdefault(name, []).append(value)
        fields = {
            _PARAMETERS[name][0]: _decode(name, given)
            for name, given in values.items()
            if "" not in given
        }
        return cls(**fields)

    def pairs(self) -> list[tuple[str, str]]:
        """The parameters of the address that says it."""
        pairs: list[tuple[str, str]] = []
        for name, (field, _) in _PARAMETERS.items():
            value: Any = getattr(self, field)
            if value == _DEFAULTS[field]:
                continue
            items = cast("tuple[Any, ...]", value) if isinstance(value, tuple) else (value,)
            pairs += [(name, "1" if item is True else str(item)) for item in items]
        return pairs

    def query(self) -> str:
        """The same with its question mark; empty where nothing is restricted."""
        pairs = self.pairs()
        return f"?{urlencode(pairs)}" if pairs else ""

    def with_page(self, page: int) -> RecordFilter:
        """Another page of the same."""
        return msgspec.structs.replace(self, page=page)

    def sorted_by(self, column: str) -> RecordFilter:
        """Its first page by a column: upwards, then downwards, then in the order of no column."""
        if self.sort != column:
            return msgspec.structs.replace(self, sort=column, reverse=False, page=1)
        if not self.reverse:
            return msgspec.structs.replace(self, reverse=True, page=1)
        return msgspec.structs.replace(self, sort="", reverse=False, page=1)

    def rows_key(self) -> RecordFilter:
        """What decides which rows there are and in which order."""
        return msgspec.structs.replace(self, page=1, columns=())

    def words(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The words that must be in a record, and those that must not."""
        wanted, unwanted = list[str](), list[str]()
        for word in split_words(self.text):
            if len(word) > 1 and word.startswith("-"):
                unwanted.append(word[1:].strip('"'))
            else:
                wanted.append(word.strip('"'))
        return tuple(filter(None, wanted)), tuple(filter(None, unwanted))


def split_words(text: str) -> list[str]:
    """The words of a search; what stands in quotes is one word."""
    words, word, is_quoted = list[str](), "", False
    for character in text:
        if character == '"':
            is_quoted = not is_quoted
        if character.isspace() and not is_quoted:
            words.append(word)
            word = ""
        else:
            word += character
    return [word for word in (*words, word) if word]


def _text(name: str, value: str) -> str:
    return value


def _search(name: str, value: str) -> str:
    if len(value) > MAX_TEXT or len(split_words(value)) > MAX_WORDS:
        limit = f"up to {MAX_WORDS} words, {MAX_TEXT} characters"
        raise BadParameterError(name, value, limit)
    return value


def _number(name: str, value: str) -> float:
    number = float(value) if _NUMBER.fullmatch(value) else math.nan
    if not math.isfinite(number):
        raise BadParameterError(name, value, "a number, for instance 0.5")
    return number


def _page(name: str, value: str) -> int:
    if not _DIGITS.fullmatch(value) or not 1 <= int(value) <= MAX_PAGE:
        raise BadParameterError(name, value, f"a number from 1 to {MAX_PAGE}")
    return int(value)


def _flag(name: str, value: str) -> bool:
    if value not in ("0", "1"):
        raise BadParameterError(name, value, ("0", "1"))
    return value == "1"


def _one_of(choices: tuple[str, ...]) -> Callable[[str, str], str]:
    def decode(name: str, value: str) -> str:
        if value not in choices:
            raise BadParameterError(name, value, choices)
        return value

    return decode


#: The field behind each parameter, and how a value of it is read.
_PARAMETERS: dict[str, tuple[str, Callable[[str, str], Any]]] = {
    "q": ("text", _search),
    "setting": ("settings", _text),
    "prompt": ("prompt", _text),
    "status": ("statuses", _one_of(STATUSES)),
    "finish": ("finish_reasons", _text),
    "tag": ("tags", _text),
    "scorer": ("scorer", _text),
    "min_score": ("min_score", _number),
    "max_score": ("max_score", _number),
    "min_latency": ("min_latency", _number),
    "max_latency": ("max_latency", _number),
    "unstable": ("unstable", _one_of(UNSTABLE)),
    "regressed": ("regressed", _text),
    "every": ("every", _flag),
    "mark": ("mark", _one_of(MARK_STATES)),
    "reader": ("reader", _text),
    "sort": ("sort", _text),
    "reverse": ("reverse", _flag),
    "page": ("page", _page),
    "column": ("columns", _text),
}
_DEFAULTS: dict[str, Any] = msgspec.structs.asdict(RecordFilter())


def _decode(name: str, given: list[str]) -> Any:
    """The values of a parameter; one that is said twice means nothing unless it can be several."""
    field, decode = _PARAMETERS[name]
    if isinstance(_DEFAULTS[field], tuple):
        return tuple(dict.fromkeys(decode(name, value) for value in given))
    if len(set(given)) > 1:
        raise BadParameterError(name, " and ".join(given), "one value")
    return decode(name, given[0])
