"""``evalharness report RUN…``: tables for people, JSON for programs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from evalharness.cli.output_files import open_in_browser, target_of
from evalharness.columnar.arrow_ops import spare_pandas
from evalharness.errors import EXIT_OK, ConfigError
from evalharness.report.build.json import as_json_text, write_summary
from evalharness.report.build.overrides import parse_overrides
from evalharness.report.build.report_data import Built, Options, build, build_all
from evalharness.report.html import PAGE, warm, write_html
from evalharness.report.markdown import as_markdown
from evalharness.store.folder.durable_files import FILE_MODE, NAMED_MODE
from evalharness.store.folder.run import Run
from evalharness.store.remote.locations import runs_and_overrides

if TYPE_CHECKING:
    from evalharness.report.html.engine import Engine


class Asked(NamedTuple):
    """The flags of ``evalharness report``; files are paths as typed, None for none."""

    as_json: bool = False
    markdown: bool = False
    html: str | None = None
    open_html: bool = False
    everything: bool = False
    pricing: str | None = None
    volume: float | None = None


def report(arguments: Sequence[str], asked: Asked) -> int:
    """Print the report of runs; ``scoring=…`` and ``answer=…`` replace a run's own."""
    names, overrides = runs_and_overrides(arguments)
    if not names:
        raise ConfigError("report needs a run", hint="evalharness report quickstart")
    if (asked.html or asked.open_html) and len(names) > 1:
        raise ConfigError("--html and --open take one run at a time")
    spare_pandas()
    with closing(warm()) if asked.html or asked.open_html else nullcontext() as engine:
        return _report(names, overrides, asked, engine)


def _report(
    names: Sequence[str], overrides: Sequence[str], asked: Asked, engine: Engine | None
) -> int:
    options = parse_overrides(
        overrides,
        everything=asked.everything,
        pricing=None if asked.pricing is None else Path(asked.pricing),
        volume=asked.volume,
    )
    built = build_all(names, options)
    if asked.html or asked.open_html:
        _write_page(built[0], asked, engine)
    if asked.as_json:
        data: Any = built[0].data if len(built) == 1 else [b.data for b in built]
        sys.stdout.write(as_json_text(data))
    elif asked.markdown:
        sys.stdout.write("\n".join(as_markdown(one.data) for one in built))
    else:
        from evalharness.report.console.report import print_report as print_tables

        for one in built:
            print_tables(one.data)
    return EXIT_OK


def _write_page(built: Built, asked: Asked, engine: Engine | None) -> None:
    target = target_of(asked.html) if asked.html else built.run.root / PAGE
    write_html(built, target, mode=NAMED_MODE if asked.html else FILE_MODE, engine=engine)
    print(f"written: {target}", file=sys.stderr)
    if asked.open_html:
        open_in_browser(target)


def print_report(root: Path) -> float | None:
    """Print the report at the end of a run, save it as JSON and HTML; returns the objective.

    The objective of an optimising sweeper is the mean score over settings, or the mean agreement
    when nothing is scored; None when neither is defined.
    """
    from evalharness.report.console.report import print_report as print_tables

    with closing(warm()) as engine:
        built = build(Run.open(root), Options())
        write_summary(root, built.data)
        try:
            write_html(built, root / PAGE, engine=engine)
        finally:  # what was found is said also where there can be no page
            print_tables(built.data)
    return objective(built)


def objective(built: Built) -> float | None:
    """The one number an optimising sweeper maximises."""
    for pick in (_score, _agreement):
        values = [v for row in built.data["settings"] if (v := pick(row)) is not None]
        if values:
            return sum(values) / len(values)
    return None


def _score(row: dict[str, Any]) -> float | None:
    score: dict[str, Any] = row.get("score") or {}
    return score.get("mean")


def _agreement(row: dict[str, Any]) -> float | None:
    return row["agreement"]["raw"].get("pairwise")
