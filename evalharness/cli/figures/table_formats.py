"""A table of figures as CSV, JSON lines, Parquet, LaTeX or Markdown.

CSV, JSON lines and Parquet are for programs: all columns, exact, null where unknown. LaTeX and
Markdown are to be read: few columns, four digits, ``0.83 [0.71, 0.92]``, a dash where unknown.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from evalharness.cli.export_rows import open_output
from evalharness.cli.figures.table_rows import RunTable
from evalharness.cli.output_files import output_path
from evalharness.errors import ConfigError
from evalharness.process.text import closest, did_you_mean
from evalharness.report.words.cells import LINE_ENDS, cell_text, json_value
from evalharness.report.words.markdown_text import escape_text
from evalharness.report.words.sanitize import one_line
from evalharness.store.folder.durable_files import write_durably

TableFormat = Literal["csv", "jsonl", "parquet", "latex", "md"]
TABLE_FORMATS: tuple[TableFormat, ...] = get_args(TableFormat)

_DASH = "–"
_MAX_CELL = 200  # characters of a name in a table to be read
_LATEX_SIGNS = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "%": r"\%",
    "#": r"\#", "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}",
    "[": "{[}", "]": "{]}", "*": "{*}",
}  # fmt: skip
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:e-?[0-9]+)?")
_NUMBERS = re.compile(rf"{_NUMBER.pattern}(?: \[(?:{_NUMBER.pattern}|{_DASH}), "
                      rf"(?:{_NUMBER.pattern}|{_DASH})\])?")  # fmt: skip
_LATEX_SPECIAL = re.compile("|".join(map(re.escape, _LATEX_SIGNS)))


def write_table(
    table: RunTable,
    *,
    form: TableFormat,
    out: str | None,
    columns: Sequence[str] = (),
    raw_cells: bool = False,
) -> int:
    """Write a table to a file, whole or not at all, or to stdout; the number of its rows.

    Args:
        table: the table.
        form: the format.
        out: the file; None is stdout.
        columns: only these, in this order; empty is all, and the short ones of LaTeX and Markdown.
        raw_cells: CSV: cells that a spreadsheet would run as a formula as they are.

    Raises:
        ConfigError: there is no such column, or Parquet was to go to stdout.
    """
    for name in columns:
        if name not in table.columns:
            close = closest(name, table.columns)
            hint = did_you_mean(close) if close else f"one of: {', '.join(table.columns)}"
            raise ConfigError(f"the table has no column `{name}`", hint=hint)
    if form == "parquet":
        if out is None:
            raise ConfigError("Parquet goes to a file", hint="--out table.parquet")
        _write_parquet(table, list(columns) or table.columns, output_path(out))
        return len(table.rows)
    if form in ("latex", "md"):
        cells = readable_cells(table, columns)
        text = (latex_table if form == "latex" else markdown_table)(cells)
    else:
        names = list(columns) or table.columns
        text = _csv(table, names, raw=raw_cells) if form == "csv" else _jsonl(table, names)
    with open_output(out) as file:
        file.write(text)
    return len(table.rows)


# ── for programs ─────────────────────────────────────────────────────────────────────────────────


def _value(value: Any) -> Any:
    """A value as JSON can hold it: NaN and infinity are unknown."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _csv(table: RunTable, names: Sequence[str], *, raw: bool) -> str:
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(names)
    for row in table.rows:
        writer.writerow([cell_text(_value(row.get(name)), raw=raw) for name in names])
    return file.getvalue()


def _jsonl(table: RunTable, names: Sequence[str]) -> str:
    lines = (
        json.dumps(
            {name: _value(row.get(name)) for name in names},
            ensure_ascii=False, allow_nan=False, default=json_value,
        )
        for row in table.rows
    )  # fmt: skip
    return "".join(line.translate(LINE_ENDS) + "\n" for line in lines)


def _write_parquet(table: RunTable, names: Sequence[str], target: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet

    parquet: Any = pyarrow.parquet
    columns = [_arrow_column([_value(row.get(name)) for row in table.rows]) for name in names]
    rows = pa.table(columns, names=list(names))
    write_durably(target, lambda path: parquet.write_table(rows, path))


def _arrow_column(values: list[Any]) -> Any:
    """Flags, whole numbers, numbers or texts; a column of several kinds is texts, as in CSV."""
    import pyarrow as pa

    kinds: set[type[Any]] = {type(value) for value in values if value is not None}
    if not kinds or kinds <= {int, float}:
        whole = kinds == {int} and all(abs(v) < 2**63 for v in values if v is not None)
        return pa.array(values, pa.int64() if whole else pa.float64())
    if kinds == {bool}:
        return pa.array(values, pa.bool_())
    texts = [None if value is None else str(cell_text(value, raw=True)) for value in values]
    return pa.array(texts, pa.string())


# ── to be read ───────────────────────────────────────────────────────────────────────────────────


def readable_cells(table: RunTable, columns: Sequence[str]) -> list[list[str]]:
    """Headings and rows as texts; without ``columns`` those of the short list with any value.

    A figure stands with its interval, unless the ends are asked for as columns.
    """
    names = list(columns) or [
        name
        for name in table.short
        if not table.rows or any(_value(row.get(name)) is not None for row in table.rows)
    ]
    apart = {name for name in names if f"{name}_lo" in names or f"{name}_hi" in names}
    rows = [
        [_readable(row, name, bounds=name not in apart) for name in names] for row in table.rows
    ]
    return [names, *rows]


def _readable(row: dict[str, Any], name: str, *, bounds: bool) -> str:
    text = _number_text(row.get(name))
    low, high = (_value(row.get(f"{name}_{end}")) for end in ("lo", "hi"))
    if text == _DASH or not bounds or low is high is None:
        return text
    return f"{text} [{_number_text(low)}, {_number_text(high)}]"


def _number_text(value: Any) -> str:
    value = _value(value)
    if value is None:
        return _DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        text = f"{value:.4g}"
        return f"{value:.0f}" if "e+" in text else text
    return one_line(value if isinstance(value, str) else str(cell_text(value, raw=True)), _MAX_CELL)


def latex_table(cells: Sequence[Sequence[str]]) -> str:
    """A ``tabular`` for the package booktabs; names are escaped, numbers are right."""

    def line(row: Sequence[str]) -> str:
        return " & ".join(_latex(cell) for cell in row) + r" \\"

    headings, *rows = cells
    places = "".join("r" if right else "l" for right in _are_numbers(cells))
    return "\n".join(
        [
            r"% needs \usepackage{booktabs}",
            rf"\begin{{tabular}}{{{places}}}",
            r"\toprule",
            line(headings),
            r"\midrule",
            *map(line, rows),
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def _are_numbers(cells: Sequence[Sequence[str]]) -> list[bool]:
    """Which columns hold numbers alone, and are set to the right."""
    headings, *rows = cells
    return [
        bool(rows) and all(row[i] == _DASH or _NUMBERS.fullmatch(row[i]) for row in rows)
        for i in range(len(headings))
    ]


def _latex_number(match: re.Match[str]) -> str:
    """A number with a minus sign, and a power of ten, as mathematics."""
    mantissa, _, exponent = match[0].partition("e")
    if exponent:
        return rf"${mantissa}\times10^{{{int(exponent)}}}$"
    return f"${match[0]}$" if match[0].startswith("-") else match[0]


def _latex(text: str) -> str:
    if _NUMBERS.fullmatch(text):
        numbers = _NUMBER.sub(_latex_number, text)
        return numbers.replace("[", "{[}").replace("]", "{]}").replace(_DASH, "--")
    return _LATEX_SPECIAL.sub(lambda match: _LATEX_SIGNS[match[0]], text).replace(_DASH, "--")


def markdown_table(cells: Sequence[Sequence[str]]) -> str:
    """A table of GitHub-flavoured Markdown; names are escaped."""
    headings, *rows = cells
    lines = [
        _markdown_line(headings),
        "|" + "".join("---:|" if right else "---|" for right in _are_numbers(cells)),
        *map(_markdown_line, rows),
    ]
    return "\n".join(lines) + "\n"


def _markdown_line(row: Sequence[str]) -> str:
    return f"| {' | '.join(escape_text(cell, _MAX_CELL) for cell in row)} |"
