"""The table of settings on a terminal: one row a setting, a column a figure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from rich.table import Table

from evalharness.report.console.table_layout import TextColumn, fit_tables
from evalharness.report.words.format_numbers import DASH, dollars
from evalharness.report.words.sanitize import one_line

Row = dict[str, Any]


class SettingsField(msgspec.Struct, frozen=True):
    """One column: a heading of two lines, and the function that fills it from a setting."""

    heading: str
    fill: Callable[[Row], str]


def _part(row: Row, name: str) -> Row:
    """A part of a setting; empty where it is null or absent."""
    return row.get(name) or {}


def _percent(value: float | None, digits: int = 0) -> str:
    """A share as a percentage; the dash when unknown, never 0."""
    return DASH if value is None else f"{100 * value:.{digits}f}%"


def _interval(ci: list[float] | tuple[float, float] | None, scale: float = 100) -> str:
    """An interval of a share in whole points, cut to 0–100.

    A t interval of few prompts may reach beyond 0 or 1; the JSON has it as computed.
    """
    if ci is None:
        return ""
    low, high = (min(1.0, max(0.0, end)) for end in ci)
    return f" [{scale * low:.0f},{scale * high:.0f}]"


def _seconds(value: float | None) -> str:
    """A duration with three significant digits, two when it is short."""
    if value is None:
        return DASH
    return f"{value:.3g}" if value >= 0.1 else f"{value:.2g}"


def dollar_amount(value: float | str | None) -> str:
    """Dollars: cents from one dollar up, three digits below."""
    if value is None:
        return DASH
    amount = float(value)
    return f"{amount:.2f}" if amount >= 1 else dollars(amount).removeprefix("$")


def _with_interval(part: Row | None, key: str, ci_key: str = "ci95") -> str:
    if not part or part.get(key) is None:
        return DASH
    return _percent(part[key]) + _interval(part.get(ci_key))


def _tokens(row: Row) -> str:
    tokens: Row = row.get("tokens") or {}
    names = ("prompt_tokens", "completion_tokens")
    totals = [tokens.get(name, {}).get("total") for name in names]
    return "/".join(DASH if total is None else _short_count(total) for total in totals)


def _short_count(number: float) -> str:
    return f"{number / 1000:.1f}k" if number >= 10_000 else f"{number:.0f}"


def _latency(rows: list[Row]) -> SettingsField:
    """Median and 95th percentile, in milliseconds where all are below a second."""
    known = [v for r in rows for key in ("p50", "p95") if (v := _part(r, "latency_s").get(key))]
    unit, scale = ("ms", 1000.0) if known and max(known) < 1 else ("s", 1.0)

    def fill(row: Row) -> str:
        times = [_part(row, "latency_s").get(key) for key in ("p50", "p95")]
        return "/".join(_seconds(None if v is None else scale * v) for v in times)

    return SettingsField(f"latency {unit}\np50/p95", fill)


_TRIALS = SettingsField("trials", lambda r: str(r["trials"]))


def _fields(rows: list[Row]) -> list[SettingsField]:
    fields = [
        *([] if len({r["trials"] for r in rows}) == 1 else [_TRIALS]),
        SettingsField("ok %", lambda r: _percent(r["status_share"]["ok"])),
        *_status_fields(rows),
        SettingsField(
            "same text\n[95% CI]", lambda r: _with_interval(r["agreement"]["raw"], "pairwise")
        ),
        SettingsField("all N\nsame", lambda r: _percent(r["agreement"]["raw"].get("tar_at_n"))),
    ]
    if any(_part(r["agreement"], "answer").get("pairwise") is not None for r in rows):
        fields.append(
            SettingsField(
                "same\nanswer", lambda r: _percent(r["agreement"]["answer"].get("pairwise"))
            )
        )
    # No column of zeros: the answer to "Cheapest" says that all is free.
    free = all(_part(r, "cost_usd").get("total") == 0 for r in rows)
    return [
        *fields,
        SettingsField("score\n[95% CI]", lambda r: _with_interval(r.get("score"), "mean")),
        _latency(rows),
        SettingsField("tokens\nin/out", _tokens),
        *(
            []
            if free
            else [
                SettingsField("cost $", lambda r: dollar_amount(_part(r, "cost_usd").get("total")))
            ]
        ),
    ]


def _status_fields(rows: list[Row]) -> list[SettingsField]:
    """The other statuses that occurred, in one column, which shows why a share is not ok."""
    words = {"truncated": "cut", "empty": "empty", "refused": "refused", "error": "error"}
    present = [status for status in words if any(r["status"][status] for r in rows)]
    if not present:
        return []
    if len(present) == 1:
        return [
            SettingsField(
                f"{words[present[0]]} %", lambda r: _percent(r["status_share"][present[0]])
            )
        ]
    # One column for all of them: a column each would leave no room for the names.
    names = [words[status] for status in present]
    half = (len(names) + 1) // 2
    heading = f"{'/'.join(names[:half])}\n/{'/'.join(names[half:])} %"
    return [
        SettingsField(
            heading, lambda r: "/".join(f"{100 * r['status_share'][s]:.0f}" for s in present)
        )
    ]


def settings_tables(rows: list[Row], width: int) -> list[Table]:
    """The settings, the ``settings`` of the JSON, as tables no wider than ``width`` characters."""
    fields = [TextColumn(f.heading, [f.fill(row) for row in rows]) for f in _fields(rows)]
    return fit_tables(TextColumn("setting", [row["label"] for row in rows]), fields, width)


def scores_tables(data: Row, width: int) -> list[Table]:
    """One column a scorer, because the table of settings has room only for the first."""
    rows: list[Row] = data["settings"]
    first, *others = (scorer["name"] for scorer in data["scorers"])
    scores = {first: [row["score"] for row in rows]}
    scores |= {name: [row["scores"].get(name) for row in rows] for name in others}
    columns = [
        TextColumn(
            f"{one_line(name, 24)}\n[95% CI]", [_with_interval(part, "mean") for part in parts]
        )
        for name, parts in scores.items()
    ]
    return fit_tables(
        TextColumn("mean score by scorer", [row["label"] for row in rows]), columns, width
    )
