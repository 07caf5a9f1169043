"""Circumstances under which repeats differ: tables of the breakdowns, sentences on large contrasts.

These are observations, not experiments: fingerprint, served model, load and cache were not set by
the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from evalharness.analysis.agreement.breakdowns import Breakdown, PairGroup
from evalharness.analysis.agreement.within_prompt_contrasts import WithinPromptContrast
from evalharness.analysis.summary import SettingSummary
from evalharness.process.text import plural
from evalharness.report.words.format_numbers import DASH, metric_size, p_value, percent
from evalharness.report.words.plain_table import PlainTable
from evalharness.report.words.sanitize import one_line


class Circumstance(msgspec.Struct, frozen=True):
    """What pairs of repeats may have in common.

    Attributes:
        title: of its table.
        groups: its table in a breakdown.
        has_bins: whether the groups are ranges of a number, in whose order they are shown.
    """

    title: str
    groups: Callable[[Breakdown], list[PairGroup]]
    has_bins: bool = False


#: Those that have a table; output length and time apart are shown as plots instead.
CIRCUMSTANCES = (
    Circumstance("same text, system fingerprints", lambda part: part.system_fingerprint),
    Circumstance("same text, served models", lambda part: part.response_model),
    Circumstance("same text, requests in flight", lambda part: part.in_flight, has_bins=True),
    Circumstance("same text, prompt cached", lambda part: part.cached_tokens),
)
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


def circumstance_tables(
    settings: Sequence[SettingSummary], breakdowns: Sequence[Breakdown], max_rows: int
) -> list[PlainTable]:
    """Agreement by fingerprint, served model, requests in flight and cache, where they varied.

    One row a setting, at most ``max_rows``; one column a group, with the number of pairs of
    repeats.
    """
    labels = [row.label for row in settings]
    tables = [_table(labels, breakdowns, each, max_rows) for each in CIRCUMSTANCES]
    return [table for table in tables if table is not None]


def _table(
    labels: Sequence[str],
    breakdowns: Sequence[Breakdown],
    circumstance: Circumstance,
    max_rows: int,
) -> PlainTable | None:
    by_group = [
        {group.group: group for group in circumstance.groups(part) if group.group != "unknown"}
        for part in breakdowns
    ]
    names = list(dict.fromkeys(name for groups in by_group for name in groups))
    if len(names) < 2:
        return None
    if circumstance.has_bins:
        names.sort(key=_bin_start)
    rows = [
        [label, *(_agreement_cell(groups.get(name)) for name in names)]
        for label, groups in zip(labels, by_group, strict=True)
        if groups
    ]
    headings = [circumstance.title, *(one_line(name, _MAX_HEADING) for name in names)]
    more = max(0, len(rows) - max_rows)
    return PlainTable(circumstance.title, headings, rows[:max_rows], more)


def _bin_start(group: str) -> int:
    """The start of a bin of requests in flight; the open one (``> 256``) comes last."""
    digits = "".join(c if c.isdigit() else " " for c in group).split()
    return int(digits[0]) + group.startswith(">")


def _agreement_cell(group: PairGroup | None) -> str:
    if group is None:
        return DASH
    return f"{percent(group.agreement)} ({plural(group.pairs, 'pair')})"


def is_notable(contrast: WithinPromptContrast) -> bool:
    """Whether a report warns of a contrast: it is large, and hardly due to chance."""
    p = contrast.p_adjusted
    return p is not None and p < _MAX_P and abs(contrast.difference) >= _MIN_DIFFERENCE


def notable_contrasts(
    settings: Sequence[SettingSummary], breakdowns: Sequence[Breakdown]
) -> Iterator[str]:
    """Circumstances under which repeats of the same prompts agreed clearly less, or more often.

    The strongest setting of each breakdown; the others are counted.
    """
    by_circumstance: dict[str, list[tuple[WithinPromptContrast, str]]] = {}
    for row, part in zip(settings, breakdowns, strict=True):
        for contrast in part.contrasts:
            if is_notable(contrast):
                by_circumstance.setdefault(contrast.by, []).append((contrast, row.label))
    for name, contrasts in by_circumstance.items():
        contrast, label = max(contrasts, key=lambda item: abs(item[0].difference))
        compared, against = _PHRASES[name]
        often = "less" if contrast.difference < 0 else "more"
        rest = len(contrasts) - 1
        also = f"; so in {plural(rest, 'other setting')}" if rest else ""
        yield (
            f"Under {label} repeats {compared.format(contrast.group)} give the same text "
            f"{metric_size('agreement', contrast.difference)} {often} often than those "
            f"{against.format(contrast.against)} ({p_value(contrast.p_adjusted)}, "
            f"{plural(contrast.prompts, 'prompt')}){also}: observed, not tried."
        )
