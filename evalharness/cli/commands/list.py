"""``evalharness list``: all runs, from their manifests and newest reports."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from evalharness.cli.parser import Command, Example, Option, Positional
from evalharness.errors import EXIT_OK
from evalharness.process.stdio import data_output

if TYPE_CHECKING:
    from evalharness.listing.run_row import ListedRun


class ListOptions(NamedTuple):
    """The arguments of ``evalharness list``; None and empty where one was not given."""

    place: Annotated[
        Sequence[str], Positional("PLACE", "a folder or URL with runs (results/), or runs")
    ] = ()
    model: Annotated[Sequence[str], Option("a model, or a part of its name; repeatable", "M")] = ()
    since: Annotated[str | None, Option("begun since 2026-11-30, or 7d (h, d, w); UTC", "T")] = None
    tag: Annotated[Sequence[str], Option("that have this tag; repeatable: all of them", "T")] = ()
    sort: Annotated[
        Literal["date", "name", "status", "records", "score", "agreement", "cost"],
        Option("newest or highest first, names from A to Z"),
    ] = "date"
    reverse: Annotated[bool, Option("the other way round")] = False
    compute: Annotated[
        bool, Option("write the missing reports (summary.json) of runs that do not go on")
    ] = False
    json: Annotated[bool, Option("a list of objects on stdout; unknown is null")] = False


def run(options: ListOptions) -> int:
    """Print a line for each run; a damaged one is a line, too.

    Raises:
        ConfigError: ``since`` is no date.
        RunNotFoundError: a place holds no runs.
        StorageError: an object store refused.
    """
    from datetime import UTC, datetime

    from evalharness.listing.missing_reports import can_compute, with_figures
    from evalharness.listing.results_folder import list_run_files, map_runs
    from evalharness.listing.run_row import read_row
    from evalharness.listing.selection import parse_since, select_rows, sort_rows
    from evalharness.listing.table import table_lines

    now = datetime.now(UTC)
    since = None if options.since is None else parse_since(options.since, now)
    files = list_run_files(options.place)
    rows = [row for row in map_runs(read_row, files) if row is not None]
    selected = select_rows(rows, models=options.model, since=since, tags=options.tag)
    by_location = {each.location: each for each in files}
    lacking = {row.run for row in selected if can_compute(by_location[row.run], row)}
    if options.compute:
        selected = [
            with_figures(by_location[row.run], row) if row.run in lacking else row
            for row in selected
        ]
    selected = sort_rows(selected, options.sort, reverse=options.reverse)
    if options.json:
        import msgspec

        text = msgspec.json.format(msgspec.json.encode(selected), indent=2).decode()
        data_output().write(text + "\n")
    elif selected:
        print("\n".join(table_lines(selected, _width())))
    _print_counts(options.place, rows, selected, 0 if options.compute else len(lacking))
    return EXIT_OK


def _width() -> int | None:
    """Columns of the terminal, or of ``COLUMNS``; None where stdout has no width."""
    import os
    import shutil

    is_sized = sys.stdout.isatty() or "COLUMNS" in os.environ
    return shutil.get_terminal_size().columns if is_sized else None


def _print_counts(
    places: Sequence[str], rows: Sequence[ListedRun], selected: Sequence[ListedRun], lacking: int
) -> None:
    import shlex

    from evalharness.listing.run_row import DAMAGED
    from evalharness.process.text import plural

    words = "no runs yet; evalharness run makes one"
    if rows or places:
        words = plural(len(rows), "run") if rows else f"no runs in {' '.join(places)}"
    if len(selected) < len(rows):
        words = f"{len(selected):,} of {words}"
    damaged = [row.run for row in selected if row.status == DAMAGED]
    if damaged:
        words += f"; {len(damaged)} damaged: evalharness verify {shlex.quote(damaged[0])} says more"
    if lacking:
        words += f"; {lacking:,} without a report of all records: --compute writes those missing"
    print(words, file=sys.stderr)


COMMAND = Command(
    "list",
    description="Lists the runs of a folder or URL with date, status, models, size, score, "
    "agreement, cost, tags and note. It reads manifests and the reports that runs left, no record: "
    "figures over several settings are shown as lowest–highest.",
    examples=(
        Example("evalharness list --model qwen --since 7d", "what ran this week with qwen"),
        Example("evalharness list --tag nightly --sort score --json", "for a program"),
    ),
    options=ListOptions,
    run=run,
)
