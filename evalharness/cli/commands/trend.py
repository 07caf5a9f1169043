"""``evalharness trend RUN…``: figures of runs over dates, and whether they changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, NamedTuple

from evalharness.cli.parser import Command, Example, Option, Positional, Pricing
from evalharness.errors import EXIT_OK
from evalharness.process.stdio import data_output


class TrendOptions(NamedTuple):
    """The arguments of ``evalharness trend``; among ``run`` are ``scoring=…`` and ``answer=…``."""

    run: Annotated[
        Sequence[str], Positional("RUN", "a name under results/; scoring=… replaces its own")
    ] = ()
    tag: Annotated[str | None, Option("all runs under results/ with this tag", "TAG")] = None
    reference: Annotated[
        str | None, Option("to compare texts and first tokens with; default: the oldest", "RUN")
    ] = None
    json: Annotated[bool, Option("all series as JSON on stdout")] = False
    html: Annotated[str | None, Option("one self-contained page", "FILE")] = None
    pricing: Pricing = None


def run(options: TrendOptions) -> int:
    """Print the verdicts and a table of the runs in the order of time."""
    from pathlib import Path

    from evalharness.cli.output_files import write_page
    from evalharness.report.build.overrides import parse_overrides
    from evalharness.report.json import as_json_text
    from evalharness.report.several_runs.find_runs import open_runs
    from evalharness.report.several_runs.page import render_trend
    from evalharness.report.several_runs.trend import build_trend
    from evalharness.report.several_runs.trend_text import print_trend
    from evalharness.store.remote.locations import split_runs_and_overrides

    names, overrides = split_runs_and_overrides(options.run)
    runs = open_runs(names, options.tag, command="evalharness trend", alone="evalharness report")
    pricing = None if options.pricing is None else Path(options.pricing)
    trend = build_trend(runs, options.reference, parse_overrides(overrides, pricing=pricing))
    if options.html:
        write_page(options.html, render_trend(trend))
    if options.json:
        data_output().write(as_json_text({"trend": trend}))
    else:
        print_trend(trend)
    return EXIT_OK


COMMAND = Command(
    "trend",
    description="Shows failures, score, agreement, latency, cost and the share of texts equal to "
    "a reference run's over the dates of runs, with intervals, and says which of them changed, "
    "and when.",
    examples=(
        Example("evalharness trend monday tuesday wednesday", "in the order of their dates"),
        Example("evalharness trend --tag nightly --reference release-1", "all runs of a tag"),
    ),
    options=TrendOptions,
    run=run,
)
