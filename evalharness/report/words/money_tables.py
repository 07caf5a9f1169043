"""Tables of the report's money, the same on a terminal, in HTML and in Markdown.

Made from ``data["money"]`` of ``report --json``; nothing is computed here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from evalharness.report.words.format_numbers import DASH, count_text, dollars, percent

Row = dict[str, Any]
_MAX_PROMPTS = 5  # rows of the table of prompts in brief
_TOKENS = ("prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens")
_PRICED = "priced"


class PlainTable(msgspec.Struct, frozen=True):
    """A table ready to print: the first cell of a row names it."""

    title: str
    headings: list[str]
    rows: list[list[str]]
    more: int = 0


class _Column(msgspec.Struct, frozen=True):
    heading: str
    fill: Callable[[Row], str]
    brief: bool = True


def money_tables(data: Row, *, brief: bool, max_rows: int) -> list[PlainTable]:
    """Tokens and dollars by setting, model, tag and prompt, and the projection to a volume.

    Args:
        data: a whole report; ``data["money"]`` may be absent.
        brief: fewer columns, for a terminal.
        max_rows: rows of each table.

    Returns:
        None where everything is free or unknown.
    """
    facts: Row | None = data.get("money")
    if facts is None:
        return []
    tables: list[PlainTable] = []
    if facts["whole"]["total_usd"] or facts["whole"]["estimate_usd"]:
        many = len(facts["models"]) > 1
        parts: list[tuple[str, str, list[Row]]] = [
            ("setting", "label", facts["settings"]),
            ("model", "model", facts["models"] if many else []),
            ("tag", "tag", facts["tags"]),
            ("dearest\nprompts", "prompt_id", facts["prompts"]["most_expensive"]),
        ]
        tables += [_table(title, key, rows, brief, max_rows) for title, key, rows in parts if rows]
        if brief and facts["prompts"]["most_expensive"]:
            tables[-1] = _first_rows(tables[-1], _MAX_PROMPTS)
    if facts["projection"] is not None:
        tables.append(_projection_table(facts["projection"], max_rows))
    return tables


def _first_rows(table: PlainTable, rows: int) -> PlainTable:
    return PlainTable(table.title, table.headings, table.rows[:rows])


def _table(title: str, key: str, rows: list[Row], brief: bool, max_rows: int) -> PlainTable:
    columns = [c for c in _columns() if c.brief or not brief]
    columns = [c for c in columns if any(c.fill(row) not in ("", DASH) for row in rows)]
    if brief and all(row["known"] == row["trials"] for row in rows):
        columns = [c for c in columns if c.heading != _PRICED]
    if key == "prompt_id" and not brief:
        columns.insert(1, _Column("share", lambda row: percent(row["share"])))
    return PlainTable(
        title,
        [title, *(c.heading for c in columns)],
        [[_row_name(row, key), *(c.fill(row) for c in columns)] for row in rows[:max_rows]],
        max(0, len(rows) - max_rows),
    )


def _row_name(row: Row, key: str) -> str:
    if key == "model":
        return " at ".join(str(row[k]) for k in ("model", "provider") if row[k] is not None)
    return "(no tag)" if row[key] is None else str(row[key])


def _columns() -> list[_Column]:
    return [
        _Column(_PRICED, lambda row: f"{row['known']:,}/{row['trials']:,}"),
        _Column("mean tokens in/\ncached/out/reas.", _tokens),
        _Column("total", _usd("total_usd")),
        _Column("estimated\nbeside", _usd("estimate_usd"), brief=False),
        _Column("mean", _usd("mean_usd"), brief=False),
        _Column("1,000 requests\n[95 % CI]", _per_1k),
        _Column("a correct\nanswer", _usd("per_correct_usd")),
        _Column("correct in\nall repeats", _usd("per_reliably_correct_usd")),
        _Column("cached", lambda row: percent(row["cache"]["share"]), brief=False),
        _Column("saved by\ncache", lambda row: dollars(row["cache"]["saved_usd"]), brief=False),
        *(_tokens_in_all(name) for name in _TOKENS),
    ]


def _usd(key: str) -> Callable[[Row], str]:
    return lambda row: dollars(row[key])


def _tokens(row: Row) -> str:
    means = [row["tokens"][name]["mean"] for name in _TOKENS]
    return DASH if means == [None] * len(means) else "/".join(_mean(mean) for mean in means)


def _tokens_in_all(name: str) -> _Column:
    heading = f"{name.replace('_', ' ')}\nin all"
    return _Column(heading, lambda row: count_text(row["tokens"][name]["total"]), brief=False)


def _per_1k(row: Row) -> str:
    ends = row["ci95"]
    return _with_interval(
        row["per_1k_requests"], None if ends is None else [1000 * e for e in ends]
    )


def _projection_table(projection: Row, max_rows: int) -> PlainTable:
    title = f"at {projection['volume']:,.0f} requests"
    rows: list[Row] = projection["settings"]
    return PlainTable(
        title,
        [title, "cost [95 % CI]", "prompt tokens", "completion tokens"],
        [
            [
                row["label"],
                _with_interval(row["usd"], row["ci95"]),
                count_text(row["prompt_tokens"]),
                count_text(row["completion_tokens"]),
            ]
            for row in rows[:max_rows]
        ],
        max(0, len(rows) - max_rows),
    )


def _mean(value: float | None) -> str:
    if value is None:
        return DASH
    return f"{value:,.0f}" if value >= 10 or value == 0 else f"{value:.1f}"


def _with_interval(value: float | None, ends: Sequence[float] | None) -> str:
    if value is None or ends is None:
        return dollars(value)
    return f"{dollars(value)} [{_without_sign(ends[0])}, {_without_sign(ends[1])}]"


def _without_sign(value: float) -> str:
    return dollars(value).replace("$", "")
