"""What goes with repeats that differ: tables of the breakdowns, and the notable ones in words.

Observed, not tried: who served two repeats, how busy it was and what was cached came as they came.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from evalharness.report.words import format_numbers as n
from evalharness.report.words.money_text import PlainTable
from evalharness.report.words.sanitize import one_line

Row = dict[str, Any]

TITLES = {
    "system_fingerprint": "same text, system fingerprints",
    "served_model": "same text, served models",
    "in_flight": "same text, requests in flight",
    "cached_tokens": "same text, prompt cached",
}
# Of the pairs with more of a circumstance, and of those with less.
_PHRASES = {
    "system_fingerprint": ("under different system fingerprints", "under equal ones"),
    "served_model": ("from different served models", "from the same one"),
    "time_gap": ("sent {} apart", "sent {} apart"),
    "in_flight": ("with {} requests in flight", "with {}"),
    "cached_tokens": ("whose prompt was cached in {}", "in {}"),
}
_WIDTH = 40  # of a heading: a server may name its backend at any length
_SURE = 0.01  # sign flips are a little too eager here: see docs/statistics.md
_NOTABLE = 0.05  # a difference of agreement


def circumstance_tables(data: Row, most: int) -> list[PlainTable]:
    """Agreement by fingerprint, served model, requests in flight and cache, where they varied.

    One row a setting, at most ``most``; one column a group, with the pairs of repeats behind it.
    Output length and time apart are drawn instead.
    """
    tables: list[PlainTable] = []
    for name, title in TITLES.items():
        shares = [
            {str(g["group"]): g for g in part[name] if g["group"] != "unknown"}
            for part in data["breakdowns"]
        ]
        groups = list(dict.fromkeys(group for row in shares for group in row))
        if len(groups) < 2:
            continue
        if name == "in_flight":
            groups.sort(key=_leading)
        rows = [
            [row["label"], *(_cell(found.get(group)) for group in groups)]
            for row, found in zip(data["settings"], shares, strict=True)
            if found
        ]
        more = max(0, len(rows) - most)
        headings = [title, *(one_line(group, _WIDTH) for group in groups)]
        tables.append(PlainTable(title, headings, rows[:most], more))
    return tables


def _leading(group: str) -> int:
    """Where a bin of requests in flight begins; the open one (``> 256``) comes last."""
    digits = "".join(c if c.isdigit() else " " for c in group).split()
    return int(digits[0]) + group.startswith(">")


def _cell(found: Row | None) -> str:
    if found is None:
        return n.DASH
    return f"{n.percent(found['agreement'])} ({n.plural(found['pairs'], 'pair')})"


def notable(data: Row) -> Iterator[str]:
    """Circumstances under which repeats of the same prompts agreed clearly less, or more often.

    The strongest setting of each breakdown; the others are counted.
    """
    found: dict[str, list[tuple[Row, str]]] = {}
    for row, part in zip(data["settings"], data["breakdowns"], strict=True):
        for one in part["contrasts"]:
            p = one["p_adjusted"]
            if p is not None and p < _SURE and abs(one["difference"]) >= _NOTABLE:
                found.setdefault(one["by"], []).append((one, row["label"]))
    for name, rows in found.items():
        one, label = max(rows, key=lambda item: abs(item[0]["difference"]))
        compared, against = _PHRASES[name]
        often = "less" if one["difference"] < 0 else "more"
        also = f"; so in {n.plural(len(rows) - 1, 'other setting')}" if len(rows) > 1 else ""
        yield (
            f"Under {label} repeats {compared.format(one['group'])} give the same text "
            f"{n.size_of('agreement', one['difference'])} {often} often than those "
            f"{against.format(one['against'])} ({n.p_value(one['p_adjusted'])}, "
            f"{n.plural(one['prompts'], 'prompt')}){also}: observed, not tried."
        )
