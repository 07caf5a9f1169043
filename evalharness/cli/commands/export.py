"""``evalharness export RUN --format csv|jsonl``: records out, to stdout or a file."""

from __future__ import annotations

import sys
from typing import Annotated, Literal, NamedTuple

from evalharness.cli.parser import Command, Example, Option, Overrides, Positional, Pricing
from evalharness.errors import EXIT_OK


class ExportOptions(NamedTuple):
    """The arguments of ``evalharness export``; ``out`` is a file, None is stdout."""

    run: Annotated[str, Positional("RUN")]
    format: Annotated[Literal["csv", "jsonl"], Option()]
    overrides: Overrides = ()
    out: Annotated[str | None, Option("write here instead of stdout", "FILE")] = None
    raw_cells: Annotated[bool, Option("CSV: do not neutralise spreadsheet formulas")] = False
    pricing: Pricing = None


def run(options: ExportOptions) -> int:
    """Write every record, whole or not at all."""
    from pathlib import Path

    from evalharness.cli.export_rows import export_records
    from evalharness.process.text import plural
    from evalharness.report.build.overrides import parse_overrides
    from evalharness.store.folder.run import Run

    pricing = None if options.pricing is None else Path(options.pricing)
    report_overrides = parse_overrides(options.overrides, pricing=pricing)
    count = export_records(
        Run.open(options.run),
        report_overrides,
        form=options.format,
        out=options.out,
        raw_cells=options.raw_cells,
    )
    if options.out is not None:
        print(f"{plural(count, 'record')} written to {options.out}", file=sys.stderr)
    return EXIT_OK


COMMAND = Command(
    "export",
    description="Writes one row a record: what was asked, the output, its answer and score, usage, "
    "times and cost. Columns: docs/schema.md. `evalharness import` makes the same run of it.",
    examples=(
        Example(
            "evalharness export quickstart --format csv --out records.csv", "for a spreadsheet"
        ),
        Example("evalharness export quickstart --format jsonl scoring=exact", "scored anew"),
    ),
    options=ExportOptions,
    run=run,
)
