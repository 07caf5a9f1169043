"""The pages that show the calibration; tables that were not computed stay as they are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

_MARKS = "<!-- calibration: begin -->\n", "<!-- calibration: end -->\n"
_FAILED = "Promises that do not hold"


class Computed(NamedTuple):
    """What was computed.

    Attributes:
        sections: lines of Markdown, a heading ``## title`` before each table.
        summary: lines of the table of tables, its two heading lines first.
        failures: cells outside of their promise, as ``* table: …``.
        tables: names of the tables computed.
        titles: the titles of all tables, in their order.
    """

    sections: Sequence[str]
    summary: Sequence[str]
    failures: Sequence[str]
    tables: Sequence[str]
    titles: Sequence[str]


def write_pages(folder: Path, computed: Computed, command: str) -> None:
    """Write tables to ``calibration.md``, and the summary into ``statistics.md``.

    Args:
        folder: of the documentation.
        computed: replaces what the pages have of the same tables.
        command: that computes all.
    """
    page = folder / "calibration.md"
    old = _parts(page.read_text("utf-8")) if page.exists() else {}
    failures = old.pop(_FAILED, "").splitlines()
    kept = [line for line in failures if _table_of(line) not in {None, *computed.tables}]
    parts = old | _parts("\n".join(computed.sections))
    head = (
        "# Calibration\n\n"
        f"Written by `{command}`; what the figures mean is in [statistics](statistics.md), the "
        "words in the [glossary](glossary.md). Each cell is a share of simulated runs ± its "
        "binomial standard error. *Fails*: outside of the promise by more than 2.6 errors. In "
        "brackets: why a cell may leave it in that direction.\n"
    )
    body = [f"\n## {title}\n{parts[title]}" for title in computed.titles if title in parts]
    failed = [*kept, *computed.failures] or ["None."]
    tail = "\n".join(["", f"## {_FAILED}", "", *failed]) + "\n"
    page.write_text("".join([head, *body, tail]), "utf-8")
    _write_summary(folder / "statistics.md", computed)


def _parts(text: str) -> dict[str, str]:
    """What stands below each heading, without blank lines at its end."""
    pieces = re.split(r"^## (.*)\n", text, flags=re.MULTILINE)[1:]
    bodies = (body.rstrip("\n") + "\n" for body in pieces[1::2])
    return dict(zip(pieces[::2], bodies, strict=True))


def _table_of(line: str) -> str | None:
    match = re.match(r"\* ([^:]+):", line)
    return match[1] if match else None


def _write_summary(page: Path, computed: Computed) -> None:
    begin, end = _MARKS
    text = page.read_text("utf-8")
    before, _, rest = text.partition(begin)
    block, _, after = rest.partition(end)
    rows = _rows(block.splitlines()) | _rows(computed.summary)
    order = [*computed.titles, *(title for title in rows if title not in computed.titles)]
    lines = [*computed.summary[:2], *(rows[title] for title in order if title in rows), "", ""]
    page.write_text("".join([before, begin, "\n", "\n".join(lines), end, after]), "utf-8")


def _rows(lines: Sequence[str]) -> dict[str, str]:
    """The rows of a table by their first cell, without its heading."""
    rows = [line for line in lines if line.startswith("| ")]
    return {row.split(" | ")[0].removeprefix("| "): row for row in rows[1:]}
