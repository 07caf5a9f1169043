"""``evalharness compare RUN… --by AXIS``: settings against a baseline, paired by prompt."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from evalharness.analysis.compare import compare as compare_settings
from evalharness.analysis.compare import compare_runs
from evalharness.analysis.trends import trends
from evalharness.errors import EXIT_OK, ConfigError
from evalharness.report.build import build_all
from evalharness.report.json import as_json_text
from evalharness.report.overrides import parse_overrides
from evalharness.report.text import printable


def compare(
    arguments: Sequence[str],
    *,
    by: str | None,
    baseline: str | None,
    margin: float | None,
    as_json: bool,
) -> int:
    """Print every comparison and trend as one line, or all of them as JSON.

    ``arguments`` are runs, and ``scoring=…`` or ``answer=…`` in place of the runs' own.

    A trend is the slope over an axis of three or more numbers. Several runs are joined by prompt;
    with ``--by run`` they are compared with each other.
    """
    runs = [a for a in arguments if "=" not in a]
    if not runs:
        raise ConfigError("compare needs a run", hint="evalharness compare quickstart")
    built = build_all(runs, parse_overrides([a for a in arguments if "=" in a]))
    names = [one.run.name for one in built]
    if len(set(names)) < len(names):
        raise ConfigError(f"the runs {', '.join(names)} do not have different names")
    frames = {one.run.name: one.frame for one in built}
    if by is None:
        by = "run" if len(built) > 1 else None
    if by is None:
        raise ConfigError("compare needs an axis", hint=f"--by {_axes(built)[0]}")
    rows: list[dict[str, Any]]
    slopes: list[dict[str, Any]] = []
    if by == "run":
        rows = compare_runs(frames, baseline=baseline, margin=margin)
    else:
        given = frames if len(frames) > 1 else next(iter(frames.values()))
        rows = compare_settings(given, by=by, baseline=baseline, margin=margin)
        slopes = trends(given, by=by)
    if as_json:
        sys.stdout.write(as_json_text({"comparisons": rows, "trends": slopes}))
        return EXIT_OK
    for row in [*rows, *slopes]:
        print(printable(row["sentence"]))
    if any(row["family"] > 1 for row in rows):
        print(
            "adjusted: over the comparisons of one metric (pooled ones apart), not over all lines",
            file=sys.stderr,
        )
    if not rows:
        print("nothing to compare: no metric has a value on both sides", file=sys.stderr)
    return EXIT_OK


def _axes(built: Sequence[Any]) -> list[str]:
    axes = [
        name
        for one in built
        for i in range(len(one.frame.setting_ids))
        for name in one.frame.axes(i)
    ]
    return list(dict.fromkeys(axes)) or ["temperature"]
