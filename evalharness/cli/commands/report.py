"""``evalharness report RUN…``: tables for people, JSON for programs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from evalharness.cli.output_files import open_in_browser, output_path
from evalharness.errors import EXIT_OK, ConfigError
from evalharness.process.tuning import avoid_pandas_import
from evalharness.report.build.json import as_json_text, write_summary
from evalharness.report.build.overrides import parse_overrides
from evalharness.report.build.report_data import (
    Report,
    ReportOverrides,
    build_report,
    build_reports,
)
from evalharness.report.html import REPORT_FILE, start_engine, write_html
from evalharness.report.markdown import as_markdown
from evalharness.store.folder.durable_files import FILE_MODE, USER_FILE_MODE
from evalharness.store.folder.run import Run
from evalharness.store.remote.locations import split_runs_and_overrides

if TYPE_CHECKING:
    from evalharness.report.html.engine import Engine


class ReportOptions(NamedTuple):
    """The flags of ``evalharness report``; files are paths as typed, None where not given."""

    as_json: bool = False
    markdown: bool = False
    html: str | None = None
    open_html: bool = False
    include_inactive: bool = False
    pricing: str | None = None
    volume: float | None = None


def report(arguments: Sequence[str], options: ReportOptions) -> int:
    """Print the report of runs; ``scoring=…`` and ``answer=…`` replace a run's own."""
    names, overrides = split_runs_and_overrides(arguments)
    if not names:
        raise ConfigError("report needs a run", hint="evalharness report quickstart")
    if (options.html or options.open_html) and len(names) > 1:
        raise ConfigError("--html and --open take one run at a time")
    avoid_pandas_import()
    with closing(start_engine()) if options.html or options.open_html else nullcontext() as engine:
        return _print_or_write(names, overrides, options, engine)


def _print_or_write(
    names: Sequence[str], overrides: Sequence[str], options: ReportOptions, engine: Engine | None
) -> int:
    report_overrides = parse_overrides(
        overrides,
        include_inactive=options.include_inactive,
        pricing=None if options.pricing is None else Path(options.pricing),
        volume=options.volume,
    )
    reports = build_reports(names, report_overrides)
    if options.html or options.open_html:
        _write_page(reports[0], options, engine)
    if options.as_json:
        data: Any = reports[0].data if len(reports) == 1 else [b.data for b in reports]
        sys.stdout.write(as_json_text(data))
    elif options.markdown:
        sys.stdout.write("\n".join(as_markdown(each.data) for each in reports))
    else:
        from evalharness.report.console.report import print_report as print_tables

        for each in reports:
            print_tables(each.data)
    return EXIT_OK


def _write_page(run_report: Report, options: ReportOptions, engine: Engine | None) -> None:
    target = output_path(options.html) if options.html else run_report.run.root / REPORT_FILE
    write_html(
        run_report, target, mode=USER_FILE_MODE if options.html else FILE_MODE, engine=engine
    )
    print(f"written: {target}", file=sys.stderr)
    if options.open_html:
        open_in_browser(target)


def print_report(root: Path) -> float | None:
    """Print the report at the end of a run, save it as JSON and HTML; returns the objective.

    The objective of an optimising sweeper is the mean score over settings, or the mean agreement
    when nothing is scored; None when neither is defined.
    """
    from evalharness.report.console.report import print_report as print_tables

    with closing(start_engine()) as engine:
        run_report = build_report(Run.open(root), ReportOverrides())
        write_summary(root, run_report.data)
        try:
            write_html(run_report, root / REPORT_FILE, engine=engine)
        finally:  # the tables are printed even when the page cannot be written
            print_tables(run_report.data)
    return objective(run_report)


def objective(run_report: Report) -> float | None:
    """The one number an optimising sweeper maximises."""
    for metric in (_mean_score, _raw_agreement):
        values = [v for row in run_report.data["settings"] if (v := metric(row)) is not None]
        if values:
            return sum(values) / len(values)
    return None


def _mean_score(row: dict[str, Any]) -> float | None:
    score: dict[str, Any] = row.get("score") or {}
    return score.get("mean")


def _raw_agreement(row: dict[str, Any]) -> float | None:
    return row["agreement"]["raw"].get("pairwise")
