"""Circumstances under which repeats differ: tables of the breakdowns, sentences on large contrasts.

These are observations, not experiments: fingerprint, served model, load and cache were not set by
the run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from evalharness.process.text import plural
from evalharness.report.words.format_numbers import DASH, metric_size, p_value, percent
from evalharness.report.words.money_tables import PlainTable
from evalharness.report.words.sanitize import one_line

Row = dict[str, Any]

TITLES = {
    "system_fingerprint": "same text, system fingerprints",
    "response_model": "same text, served models",
    "in_flight": "same text, requests in flight",
    "cached_tokens": "same text, prompt cached",
}
# The words for the pairs of a contrast: its first group, and the one it is compared with.
_PHRASES = {
    "system_fingerprint": ("under different system fingerprints", "under equal ones"),
    "response_model": ("from different served models", "from the same one"),
    "time_gap": ("sent {} apart", "sent {} apart"),
    "in_flight": ("with {} requests in flight", "with {}"),
    "cached_tokens": ("whose prompt was cached in {}", "in {}"),
}
_MAX_HEADING = 40  # characters: a fingerprint may be of any length
_MAX_P = 0.01  # below .05, because sign flips reject a little too often: docs/statistics.md
_MIN_DIFFERENCE = 0.05  # of agreement


def circumstance_tables(data: Row, max_rows: int) -> list[PlainTable]:
    """Agreement by fingerprint, served model, requests in flight and cache, where they varied.

    One row a setting, at most ``max_rows``; one column a group, with the number of pairs of
    repeats. Output length and time apart are shown as plots instead.
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
            groups.sort(key=_bin_start)
        rows = [
            [row["label"], *(_agreement_cell(by_group.get(group)) for group in groups)]
            for row, by_group in zip(data["settings"], shares, strict=True)
            if by_group
        ]
        more = max(0, len(rows) - max_rows)
        headings = [title, *(one_line(group, _MAX_HEADING) for group in groups)]
        tables.append(PlainTable(title, headings, rows[:max_rows], more))
    return tables


def _bin_start(group: str) -> int:
    """The start of a bin of requests in flight; the open one (``> 256``) comes last."""
    digits = "".join(c if c.isdigit() else " " for c in group).split()
    return int(digits[0]) + group.startswith(">")


def _agreement_cell(group: Row | None) -> str:
    if group is None:
        return DASH
    return f"{percent(group['agreement'])} ({plural(group['pairs'], 'pair')})"


def notable_contrasts(data: Row) -> Iterator[str]:
    """Circumstances under which repeats of the same prompts agreed clearly less, or more often.

    The strongest setting of each breakdown; the others are counted.
    """
    by_circumstance: dict[str, list[tuple[Row, str]]] = {}
    for row, part in zip(data["settings"], data["breakdowns"], strict=True):
        for contrast in part["contrasts"]:
            p = contrast["p_adjusted"]
            if p is not None and p < _MAX_P and abs(contrast["difference"]) >= _MIN_DIFFERENCE:
                by_circumstance.setdefault(contrast["by"], []).append((contrast, row["label"]))
    for name, rows in by_circumstance.items():
        contrast, label = max(rows, key=lambda item: abs(item[0]["difference"]))
        compared, against = _PHRASES[name]
        often = "less" if contrast["difference"] < 0 else "more"
        also = f"; so in {plural(len(rows) - 1, 'other setting')}" if len(rows) > 1 else ""
        yield (
            f"Under {label} repeats {compared.format(contrast['group'])} give the same text "
            f"{metric_size('agreement', contrast['difference'])} {often} often than those "
            f"{against.format(contrast['against'])} ({p_value(contrast['p_adjusted'])}, "
            f"{plural(contrast['prompts'], 'prompt')}){also}: observed, not tried."
        )
