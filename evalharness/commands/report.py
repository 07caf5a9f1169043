"""``evalharness report RUN…``: tables for people, JSON for programs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evalharness.errors import EXIT_OK, ConfigError
from evalharness.report.build import Built, Options, build, build_all
from evalharness.report.console import print_report as print_tables
from evalharness.report.json import as_json_text, write_summary
from evalharness.report.overrides import parse_overrides
from evalharness.store.run import Run


def report(
    arguments: Sequence[str], *, as_json: bool, everything: bool, pricing: str | None
) -> int:
    """Print the report of runs; ``scoring=…`` and ``answer=…`` replace a run's own."""
    names = [a for a in arguments if "=" not in a]
    if not names:
        raise ConfigError("report needs a run", hint="evalharness report quickstart")
    options = parse_overrides(
        [a for a in arguments if "=" in a],
        everything=everything,
        pricing=None if pricing is None else Path(pricing),
    )
    built = build_all(names, options)
    if as_json:
        data: Any = built[0].data if len(built) == 1 else [b.data for b in built]
        sys.stdout.write(as_json_text(data))
        return EXIT_OK
    for one in built:
        print_tables(one.data)
    return EXIT_OK


def print_report(root: Path) -> float | None:
    """Print the report at the end of a run, save ``summary.json``; returns the objective.

    The objective of an optimising sweeper is the mean score over settings, or the mean agreement
    when nothing is scored; None when neither is defined.
    """
    built = build(Run.open(root), Options())
    write_summary(root, built.data)
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
