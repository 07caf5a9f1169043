"""``evalharness compare RUN… --by AXIS``: settings against a baseline, paired by prompt."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from evalharness.analysis.comparison.compare import compare as compare_settings
from evalharness.analysis.comparison.compare import compare_runs
from evalharness.analysis.comparison.trends import trends
from evalharness.errors import EXIT_OK, ConfigError
from evalharness.report.build.json import as_json_text
from evalharness.report.build.open_run import Gathered, gather
from evalharness.report.build.overrides import parse_overrides
from evalharness.report.console.comparison import Compared, print_comparisons
from evalharness.store.folder.run import Run
from evalharness.store.remote.locations import runs_and_overrides


class Asked(NamedTuple):
    """The options of ``evalharness compare``; None where one was not given."""

    by: str | None = None
    baseline: str | None = None
    margin: float | None = None
    strata: bool = False
    as_json: bool = False


def compare(arguments: Sequence[str], asked: Asked) -> int:
    """Print what differs and a table of all comparisons, or everything as JSON.

    ``scoring=…`` and ``answer=…`` among the arguments replace the runs' own. A trend is the slope
    over an axis of three or more numbers. Several runs are joined by prompt; with ``--by run`` they
    are compared with each other.
    """
    runs, overrides = runs_and_overrides(arguments)
    if not runs:
        raise ConfigError(
            "compare needs a run", hint="evalharness compare quickstart --by temperature"
        )
    options = parse_overrides(overrides)
    found = [gather(Run.open(run), options) for run in runs]
    names = [one.run.name for one in found]
    if len(set(names)) < len(names):
        raise ConfigError(f"the runs {', '.join(names)} do not have different names")
    frames = {one.run.name: one.frame for one in found}
    by = "run" if asked.by is None and len(found) > 1 else asked.by
    if by is None:
        raise ConfigError("compare needs an axis", hint=f"--by {_axes(found)[0]}")
    rows: list[dict[str, Any]]
    slopes: list[dict[str, Any]] = []
    if by == "run":
        rows = compare_runs(frames, baseline=asked.baseline, margin=asked.margin)
    else:
        given = frames if len(frames) > 1 else next(iter(frames.values()))
        rows = compare_settings(given, by=by, baseline=asked.baseline, margin=asked.margin)
        slopes = trends(given, by=by)
    if asked.as_json:
        sys.stdout.write(as_json_text({"comparisons": rows, "trends": slopes}))
    elif any(row["n"] for row in rows):
        print_comparisons(Compared(rows, slopes, _again(arguments, by, asked), asked.strata))
    else:
        print("nothing to compare: no metric has a value on both sides", file=sys.stderr)
    return EXIT_OK


def _again(arguments: Sequence[str], by: str, asked: Asked) -> str:
    """The command as typed, with the axis it took."""
    words = ["evalharness", "compare", *arguments, "--by", by]
    words += [] if asked.baseline is None else ["--baseline", asked.baseline]
    words += [] if asked.margin is None else ["--margin", f"{asked.margin:g}"]
    return shlex.join(words)


def _axes(found: Sequence[Gathered]) -> list[str]:
    axes = [
        name
        for one in found
        for i in range(len(one.frame.setting_ids))
        for name in one.frame.axes(i)
    ]
    return list(dict.fromkeys(axes)) or ["temperature"]
