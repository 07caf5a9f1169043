"""The table of ``evalharness list``; columns that would be empty are left out."""

from __future__ import annotations

from collections.abc import Sequence

from evalharness.listing.run_row import FigureRange, ListedRun
from evalharness.process.text import plural
from evalharness.report.words.format_numbers import dollars
from evalharness.report.words.sanitize import one_line, printable

_UNKNOWN = "—"
_MAX_MODELS_WIDTH = 40
_MAX_NOTE_WIDTH = 60
_INDENT = "    "  # of further lines of a run
_HEADINGS = (
    "run", "begun (UTC)", "status", "models", "settings × prompts × repeats", "records", "score",
    "agreement", "cost", "tags", "note",
)  # fmt: skip
_OPTIONAL = ("score", "agreement", "cost", "tags", "note")


def table_lines(rows: Sequence[ListedRun], width: int | None = None) -> list[str]:
    """A heading and a line a run; below a damaged one what is damaged.

    Columns that do not fit into ``width`` are on further lines, indented; None has no limit.
    """
    table = [_cells(row) for row in rows]
    shown = [
        column
        for column, heading in enumerate(_HEADINGS)
        if heading not in _OPTIONAL or any(c[column] not in ("", _UNKNOWN) for c in table)
    ]
    lines = [[_HEADINGS[column] for column in shown], *([c[i] for i in shown] for c in table)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(shown))]
    bands = _bands(widths, width)
    padded = [_banded([c.ljust(w) for c, w in zip(line, widths, strict=True)], bands)
              for line in lines]  # fmt: skip
    printed = padded[:1]
    for row, line in zip(rows, padded[1:], strict=True):
        printed.append(line)
        if row.problem is not None:
            printed.append(f"  {one_line(row.problem, 200)}")
    return printed


def _bands(widths: Sequence[int], width: int | None) -> list[list[int]]:
    """The columns of each line of a run."""
    bands: list[list[int]] = [[]]
    used = 0
    for column, needed in enumerate(widths):
        if width is not None and bands[-1] and used + needed > width:
            bands.append([])
            used = len(_INDENT)
        bands[-1].append(column)
        used += needed + 2
    return bands


def _banded(cells: Sequence[str], bands: Sequence[Sequence[int]]) -> str:
    lines = ["  ".join(cells[column] for column in band).rstrip() for band in bands]
    return f"\n{_INDENT}".join([lines[0], *filter(None, lines[1:])])


def _cells(row: ListedRun) -> list[str]:
    sizes = (row.settings, row.prompts, row.repeats)
    missing = _UNKNOWN if row.tags or row.note else ""
    return [
        printable(row.run),
        _UNKNOWN if row.created_at is None else printable(row.created_at[:16].replace("T", " ")),
        _status_text(row),
        one_line(", ".join(row.models), _MAX_MODELS_WIDTH) or _UNKNOWN,
        " × ".join(_UNKNOWN if size is None else f"{size:,}" for size in sizes),
        records_text(row),
        share_text(row.score),
        share_text(row.agreement),
        cost_text(row),
        one_line(", ".join(row.tags), _MAX_NOTE_WIDTH) or missing,
        "" if row.note is None else one_line(row.note, _MAX_NOTE_WIDTH),
    ]


def _status_text(row: ListedRun) -> str:
    """``complete``, or ``waiting: 2 batches, 1,200 requests``."""
    status, waiting = printable(row.status), row.waiting
    if waiting is None:
        return status
    batches = plural(waiting.batches, "batch", "batches")
    return f"{status}: {batches}, {plural(waiting.requests, 'request')}"


def records_text(row: ListedRun) -> str:
    """``216``, or ``100 of 216`` where some are still missing."""
    if row.records is None:
        return _UNKNOWN
    if row.planned is None or row.planned == row.records:
        return f"{row.records:,}"
    return f"{row.records:,} of {row.planned:,}"


def share_text(values: FigureRange | None) -> str:
    """``81 %``, or ``62–81 %`` where settings differ."""
    if values is None:
        return _UNKNOWN
    low, high = (f"{100 * value:.0f}" for value in (values.min, values.max))
    return f"{high} %" if low == high else f"{low}–{high} %"


def cost_text(row: ListedRun) -> str:
    """US dollars; ``≥`` where some trials have no known cost."""
    if row.cost_usd is None:
        return _UNKNOWN
    least = "≥ " if row.cost_unknown else ""
    return f"{least}{dollars(row.cost_usd)}"
