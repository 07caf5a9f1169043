"""``evalharness export RUN``: records, or a table of figures, to stdout or a file."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from evalharness.cli.parser import Command, Example, Option, Overrides, Positional, Pricing
from evalharness.cli.tool_layouts import LAYOUTS, ToolLayout, layout_of
from evalharness.errors import EXIT_OK, ConfigError

if TYPE_CHECKING:
    from evalharness.report.build.scoring import ReportOverrides
    from evalharness.store.folder.run import Run


class ExportOptions(NamedTuple):
    """The arguments of ``evalharness export``.

    ``table`` None is the records; ``column`` are the only ones of a table, empty for all; ``out``
    is a file, None is stdout.
    """

    run: Annotated[str, Positional("RUN")]
    format: Annotated[
        Literal["csv", "jsonl", "parquet", "latex", "md", ToolLayout],
        Option("vllm, guidellm and aiperf: load points as the JSON of that tool"),
    ]
    overrides: Overrides = ()
    table: Annotated[
        Literal["settings", "load", "comparisons", "prompts", "marks"] | None,
        Option("figures of the report, one row each, instead of records"),
    ] = None
    column: Annotated[
        Sequence[str], Option("only this column of the table; repeatable", "NAME")
    ] = ()
    out: Annotated[str | None, Option("write here instead of stdout", "FILE")] = None
    with_invalid: Annotated[
        bool, Option("vllm, guidellm, aiperf: also load points that the client made invalid")
    ] = False
    raw_cells: Annotated[bool, Option("CSV: do not neutralise spreadsheet formulas")] = False
    pricing: Pricing = None


def run(options: ExportOptions) -> int:
    """Write every record, or a table, whole or not at all.

    Raises:
        ConfigError: records in a format that is for tables, a column without a table, or an option
            that means nothing to the format.
    """
    from pathlib import Path

    from evalharness.cli.export_rows import export_records
    from evalharness.process.text import plural
    from evalharness.report.build.overrides import parse_overrides
    from evalharness.store.folder.run import Run

    pricing = None if options.pricing is None else Path(options.pricing)
    report_overrides = parse_overrides(options.overrides, pricing=pricing)
    run = Run.open(options.run)
    layout = layout_of(options.format)
    if options.with_invalid and layout is None:
        raise ConfigError(
            f"--with-invalid is of --format {', '.join(LAYOUTS)}; --format {options.format} writes "
            "every load point, with a column `valid`",
            hint="leave --with-invalid out",
        )
    if layout is not None:
        count, noun = _write_layout(run, report_overrides, options, layout), "load point"
    elif options.table is not None:
        count, noun = _write_table(run, report_overrides, options), "row"
    else:
        noun = "record"
        count = export_records(
            run,
            report_overrides,
            form=_record_format(run, options),
            out=options.out,
            raw_cells=options.raw_cells,
        )
    if options.out is not None:
        print(f"{plural(count, noun)} written to {options.out}", file=sys.stderr)
    return EXIT_OK


def _write_layout(
    run: Run, overrides: ReportOverrides, options: ExportOptions, layout: ToolLayout
) -> int:
    """Write load points as another tool does; their number.

    Raises:
        ConfigError: another table is asked for, or a column.
    """
    from evalharness.cli.tool_layouts.write import write_layout
    from evalharness.report.build_report import build_report
    from evalharness.report.sections.load.section import LOAD

    typed = f"evalharness export {options.run} --format {layout}"
    if options.table not in (None, "load"):
        raise ConfigError(f"--format {layout} is of load points", hint=typed)
    if options.column:
        raise ConfigError("--column is for a table", hint=f"{typed}, without --column")
    return write_layout(
        run,
        build_report(run, overrides).data[LOAD],
        layout=layout,
        out=options.out,
        with_invalid=options.with_invalid,
    )


def _write_table(run: Run, overrides: ReportOverrides, options: ExportOptions) -> int:
    from evalharness.cli.figures.marks_table import marks_table
    from evalharness.cli.figures.run_tables import TABLES
    from evalharness.cli.figures.table_formats import TABLE_FORMATS, write_table
    from evalharness.report.build_report import build_report

    assert options.table is not None
    reason = _NO_ROWS[options.table]
    if options.table == "marks":
        table = marks_table(run)
    else:
        report = build_report(run, overrides)
        table = TABLES[options.table](report)
        if options.table == "comparisons" and len(report.frame.setting_ids) == 1:
            reason = _ONE_SETTING
    if not table.rows:
        print(f"run `{run.name}` has no {reason}", file=sys.stderr)
    return write_table(
        table,
        form=next(form for form in TABLE_FORMATS if form == options.format),
        out=options.out,
        columns=options.column,
        raw_cells=options.raw_cells,
    )


def _record_format(run: Run, options: ExportOptions) -> str:
    """The format of records.

    Raises:
        ConfigError: it is for tables, or a column is named.
    """
    typed = f"evalharness export {options.run} --table settings --format {options.format}"
    if options.column:
        raise ConfigError("--column is for a table", hint=f"{typed} --column {options.column[0]}")
    if options.format == "parquet":
        parts = run.root / "records"
        raise ConfigError(
            "records are Parquet already; --format parquet is for tables",
            hint=f"{parts}/*.parquet holds them; a table: {typed} --out settings.parquet",
        )
    if options.format in ("latex", "md"):
        raise ConfigError(f"--format {options.format} is for tables, not for records", hint=typed)
    return options.format


_ONE_SETTING = (
    "comparisons: it has a single setting; evalharness compare RUN OTHER compares it with another"
)
_NO_ROWS = {
    "settings": "settings",
    "load": "load points: it is no benchmark (docs/benchmarking.md)",
    "comparisons": "comparisons: no two of its settings differ in one axis alone",
    "prompts": "prompts with trials",
    "marks": "marks: evalharness mark and evalharness view make them",
}

COMMAND = Command(
    "export",
    description="Writes one row a record: what was asked, the output, its answer and score, usage, "
    "times and cost. Columns: docs/schema.md. `evalharness import` makes the same run of it. "
    "--table writes figures of the report instead, for papers and spreadsheets; --format "
    "vllm, guidellm or aiperf writes load points as those tools do (docs/load-exports.md).",
    examples=(
        Example(
            "evalharness export quickstart --format csv --out records.csv", "for a spreadsheet"
        ),
        Example(
            "evalharness export quickstart --table settings --format latex", "a table for a paper"
        ),
    ),
    options=ExportOptions,
    run=run,
)
