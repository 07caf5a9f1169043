"""Log probabilities of the tokens of an output, as a heat of ten steps."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, cast

import msgspec

from evalharness.report.words.sanitize import printable

STEPS = 10
MAX_TOKENS = 3_000  # on the page
_LEAST_LIKELY = 20
_MAX_ALTERNATIVES = 10
_MAX_TOKEN = 200  # characters


class HeatToken(NamedTuple):
    """A token of an output.

    Attributes:
        text: as delivered, made printable.
        heat: from 0, certain, to 9; None without a probability.
        probability: in words.
        alternatives: in words, the likeliest first; empty where none were delivered.
        value: the probability; None where it was not delivered.
    """

    text: str
    heat: int | None
    probability: str
    alternatives: str
    value: float | None

    @property
    def title(self) -> str:
        """All that is known of it on one line."""
        return f"{self.probability}; {self.alternatives}" if self.alternatives else self.probability


class Heat(NamedTuple):
    """Tokens with their probabilities.

    Attributes:
        tokens: the first ones.
        left: how many more there are.
        least: those with the lowest probabilities, lowest first, with their numbers from 1.
        mean: the geometric mean of the probabilities, in words; None where none is known.
    """

    tokens: list[HeatToken]
    left: int
    least: list[tuple[int, HeatToken]]
    mean: str | None


def read_heat(logprobs_json: str | None, *, whole: bool = False) -> Heat | None:
    """The tokens of ``logprobs_json``; None where there are none in a form that is known.

    Args:
        logprobs_json: of a record: chat completions have a list of objects, older servers
            parallel lists.
        whole: all tokens instead of the first ones.
    """
    rows = _rows(logprobs_json)
    if not rows:
        return None
    shown = rows if whole else rows[:MAX_TOKENS]
    known = [(place, value) for place, (_, value, _) in enumerate(rows) if value is not None]
    lowest = sorted(known, key=lambda pair: pair[1])[:_LEAST_LIKELY]
    mean = None
    if known:
        mean = _share(math.exp(math.fsum(value for _, value in known) / len(known)))
    return Heat(
        [_token(*row) for row in shown],
        len(rows) - len(shown),
        [(place + 1, _token(*rows[place])) for place, _ in lowest],
        mean,
    )


_Row = tuple[str, float | None, list[tuple[str, float | None]]]


def _rows(text: str | None) -> list[_Row]:
    try:
        value: Any = None if text is None else msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return []
    if not isinstance(value, dict):
        return []
    fields = cast("dict[str, Any]", value)
    for name in ("content", "refusal"):
        items = fields.get(name)
        if isinstance(items, list) and items:
            return [_row(item) for item in _objects(items)]
    return _parallel_rows(fields)


def _objects(value: Any) -> list[dict[str, Any]]:
    items = cast("list[Any]", value) if isinstance(value, list) else []
    return [cast("dict[str, Any]", item) for item in items if isinstance(item, dict)]


def _row(item: dict[str, Any]) -> _Row:
    others = item.get("top_logprobs")
    items = cast("list[Any]", others) if isinstance(others, list) else []
    alternatives = [
        (str(other.get("token", "")), _number(other.get("logprob")))
        for other in cast(
            "list[dict[str, Any]]", [each for each in items if isinstance(each, dict)]
        )
    ]
    return str(item.get("token", "")), _number(item.get("logprob")), alternatives


def _parallel_rows(fields: dict[str, Any]) -> list[_Row]:
    tokens, values, tops = (
        cast("list[Any]", items) if isinstance(items := fields.get(name), list) else []
        for name in ("tokens", "token_logprobs", "top_logprobs")
    )
    rows: list[_Row] = []
    for place, token in enumerate(tokens):
        top = tops[place] if place < len(tops) else None
        pairs = cast("dict[str, Any]", top).items() if isinstance(top, dict) else ()
        value = _number(values[place]) if place < len(values) else None
        rows.append((str(token), value, [(str(name), _number(each)) for name, each in pairs]))
    return rows


def _number(value: Any) -> float | None:
    """A log probability; None for what is none. Some servers write −9999 for "never"."""
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return None
    return min(0.0, max(float(value), -1e6))


def _token(text: str, value: float | None, others: list[tuple[str, float | None]]) -> HeatToken:
    likeliest = sorted(others, key=lambda pair: -math.inf if pair[1] is None else pair[1])[::-1]
    alternatives = ", ".join(
        f"{_quoted(name)} {_share_of(each)}" for name, each in likeliest[:_MAX_ALTERNATIVES]
    )
    probability = None if value is None else math.exp(value)
    return HeatToken(
        text=printable(text[:_MAX_TOKEN]),
        heat=None if probability is None else _heat(probability),
        probability=_share_of(value),
        alternatives=alternatives,
        value=probability,
    )


def _heat(probability: float) -> int:
    return min(STEPS - 1, int((1 - probability) * STEPS))


def _share_of(value: float | None) -> str:
    return "unknown" if value is None else _share(math.exp(value))


def _share(probability: float) -> str:
    percent = 100 * probability
    if percent >= 10 or percent == 0:
        return f"{percent:.1f} %"
    return f"{percent:.2g} %" if percent >= 0.01 else "< 0.01 %"


def _quoted(token: str) -> str:
    return f"“{printable(token[:_MAX_TOKEN])}”".replace("\n", "⏎")
