"""``evalharness report RUN…``: tables for people, JSON for programs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import closing, nullcontext
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from evalharness.cli.parser import Command, Example, OpenPage, Option, Positional, Pricing
from evalharness.errors import EXIT_OK, ConfigError
from evalharness.process.stdio import data_output

if TYPE_CHECKING:
    from evalharness.report.build_report import Report
    from evalharness.report.html.engine import Engine
    from evalharness.report.several_runs.together import Together


class ReportOptions(NamedTuple):
    """The arguments of ``evalharness report``; files are paths as typed, None where not given.

    Among ``run`` are ``scoring=…`` and ``answer=…``.
    """

    run: Annotated[Sequence[str], Positional("RUN", "a name under results/, a path or a URL")] = ()
    json: Annotated[bool, Option("the whole result as JSON on stdout")] = False
    json_schema: Annotated[bool, Option("the JSON Schema of --json; takes no run")] = False
    html: Annotated[str | None, Option("one self-contained page", "FILE")] = None
    plots: Annotated[str | None, Option("each plot as SVG, PNG and Vega-Lite", "DIR")] = None
    open_page: OpenPage = False
    markdown: Annotated[bool, Option("for a pull request or CI summary")] = False
    volume: Annotated[float | None, Option("project the cost to N requests", "N")] = None
    group_by: Annotated[
        str | None, Option("scores and costs by a field of the prompts", "FIELD")
    ] = None
    together: Annotated[bool, Option("runs of one plan as one; of others the money")] = False
    all: Annotated[bool, Option("also settings no longer in the plan")] = False
    pricing: Pricing = None


def run(options: ReportOptions) -> int:
    """Print the report of runs; ``scoring=…`` and ``answer=…`` replace a run's own."""
    from evalharness.process.tuning import avoid_pandas_import
    from evalharness.store.remote.locations import split_runs_and_overrides

    names, overrides = split_runs_and_overrides(options.run)
    if options.json and options.markdown:
        raise ConfigError("--json and --markdown both write to stdout", hint="type one of them")
    if options.json_schema:
        return _print_json_schema(options)
    if not names:
        raise ConfigError("report needs a run", hint="evalharness report quickstart")
    if options.together:
        return _report_together(names, overrides, options)
    if (options.html or options.plots or options.open_page) and len(names) > 1:
        raise ConfigError("--html, --plots and --open take one run at a time")
    avoid_pandas_import()
    with closing(_start_engine()) if options.html or options.open_page else nullcontext() as engine:
        return _print_or_write(names, overrides, options, engine)


def _print_json_schema(options: ReportOptions) -> int:
    from evalharness.report.json import as_json_text
    from evalharness.report.json_schema import json_schema

    if options.run:
        raise ConfigError(
            "--json-schema takes no run: it is the same for all",
            hint="evalharness report --json-schema",
        )
    data_output().write(as_json_text(json_schema()))
    return EXIT_OK


def _print_or_write(
    names: Sequence[str], overrides: Sequence[str], options: ReportOptions, engine: Engine | None
) -> int:
    from pathlib import Path

    from evalharness.report.build.overrides import parse_overrides
    from evalharness.report.build_report import build_reports
    from evalharness.report.json import as_json_text

    report_overrides = parse_overrides(
        overrides,
        include_inactive=options.all,
        pricing=None if options.pricing is None else Path(options.pricing),
        volume=options.volume,
        group_by=options.group_by,
    )
    reports = build_reports(names, report_overrides)
    if options.html or options.open_page:
        _write_page(reports[0], options, engine)
    if options.plots:
        _write_plots(reports[0], options.plots)
    if options.json:
        data: Any = reports[0].data if len(reports) == 1 else [b.data for b in reports]
        data_output().write(as_json_text(data))
    elif options.markdown:
        from evalharness.report.markdown import as_markdown

        data_output().write("\n".join(as_markdown(each.data) for each in reports))
    else:
        from evalharness.report.console_report import print_report

        for each in reports:
            print_report(each.data)
    return EXIT_OK


def _report_together(names: Sequence[str], overrides: Sequence[str], options: ReportOptions) -> int:
    """The money of any runs, added up; runs of one plan also as one report."""
    from pathlib import Path

    from evalharness.cli.output_files import write_page
    from evalharness.report.build.overrides import parse_overrides
    from evalharness.report.several_runs.find_runs import open_runs
    from evalharness.report.several_runs.page import render_money
    from evalharness.report.several_runs.together import build_together

    if options.open_page or options.all:
        raise ConfigError("--together takes no --open and --all", hint="leave it out")
    report_overrides = parse_overrides(
        overrides,
        pricing=None if options.pricing is None else Path(options.pricing),
        volume=options.volume,
        group_by=options.group_by,
    )
    runs = open_runs(names, command="evalharness report --together", alone="evalharness report")
    together = build_together(runs, report_overrides)
    if together.report is None and (options.plots or options.volume is not None):
        raise ConfigError(
            f"--plots and --volume need runs of one plan. {together.not_pooled}",
            hint="leave them out",
        )
    if options.plots and together.report is not None:
        _write_plots(together.report, options.plots)
    if options.html and together.report is not None:
        with closing(_start_engine()) as engine:
            _write_page(together.report, options, engine)
    elif options.html:
        write_page(options.html, render_money(together.money, together.not_pooled))
    _print_together(together, options)
    return EXIT_OK


def _start_engine() -> Engine:
    from evalharness.report.html_report import start_engine

    return start_engine()


def _print_together(together: Together, options: ReportOptions) -> None:
    """The report of the runs as one where there is one, then the money."""
    from evalharness.report.several_runs.money_text import money_markdown, print_money

    report, money, not_pooled = together.report, together.money, together.not_pooled
    if options.json:
        from evalharness.report.json import as_json_text

        values = {} if report is None else report.data.to_json_values()
        data_output().write(
            as_json_text({**values, "money_together": money, "not_pooled": not_pooled})
        )
    elif options.markdown:
        from evalharness.report.markdown import as_markdown

        parts = [] if report is None else [as_markdown(report.data)]
        data_output().write("\n".join([*parts, money_markdown(money, not_pooled)]))
    else:
        from evalharness.report.console_report import print_report

        if report is not None:
            print_report(report.data)
            print()
        print_money(money, not_pooled)


def _write_page(run_report: Report, options: ReportOptions, engine: Engine | None) -> None:
    from evalharness.cli.output_files import open_in_browser, output_path
    from evalharness.report.html_report import REPORT_FILE, write_html
    from evalharness.store.folder.durable_files import FILE_MODE, USER_FILE_MODE

    target = output_path(options.html) if options.html else run_report.run.root / REPORT_FILE
    write_html(
        run_report, target, mode=USER_FILE_MODE if options.html else FILE_MODE, engine=engine
    )
    print(f"written: {target}", file=sys.stderr)
    if options.open_page:
        open_in_browser(target)


def _write_plots(run_report: Report, typed: str) -> None:
    from evalharness.cli.output_files import output_folder
    from evalharness.process.text import plural
    from evalharness.report.plot_files import FORMATS, write_plots

    folder = output_folder(typed)
    paths = write_plots(run_report.data, folder)
    count = plural(len(paths) // len(FORMATS), "plot")
    print(f"written: {count} as {', '.join(FORMATS)} in {folder}", file=sys.stderr)


COMMAND = Command(
    "report",
    description="Prints how repeatable, how good, how fast and at what cost each setting of a run "
    "is, with intervals, and what to mind. `scoring=…` and `answer=…` score it anew.",
    examples=(
        Example("evalharness report quickstart --open", "the tables, and the page in a browser"),
        Example("evalharness report quickstart scoring=exact --json", "scored anew, for programs"),
    ),
    options=ReportOptions,
    run=run,
)
