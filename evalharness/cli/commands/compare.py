"""``evalharness compare RUN… --by AXIS``: settings against a baseline, paired by prompt."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, NamedTuple

from evalharness.cli.parser import Command, Example, Option, Positional
from evalharness.errors import EXIT_OK, ConfigError
from evalharness.process.stdio import data_output

if TYPE_CHECKING:
    from evalharness.analysis.comparison.comparison import Comparison
    from evalharness.analysis.comparison.trend import Trend
    from evalharness.report.build.open_run import RunData


class CompareOptions(NamedTuple):
    """The arguments of ``evalharness compare``; None where one was not given.

    Among ``run`` are ``scoring=…`` and ``answer=…``.
    """

    run: Annotated[
        Sequence[str], Positional("RUN", "a name under results/; scoring=… replaces its own")
    ]
    by: Annotated[str | None, Option("temperature, model, …, or run", "AXIS")] = None
    baseline: Annotated[str | None, Option("default: the lowest or first value", "VALUE")] = None
    margin: Annotated[
        float | None, Option("also test equivalence within ± this (0.02)", "SHARE")
    ] = None
    strata: Annotated[bool, Option("also within each value of the other axes")] = False
    json: Annotated[bool, Option("all comparisons as JSON on stdout")] = False


def run(options: CompareOptions) -> int:
    """Print what differs and a table of all comparisons, or everything as JSON.

    ``scoring=…`` and ``answer=…`` among the arguments replace the runs' own. A trend is the slope
    over an axis of three or more numbers. Several runs are joined by prompt; with ``--by run`` they
    are compared with each other. Texts that have names are shown side by side, once.
    """
    from evalharness.analysis.comparison.compare import compare, compare_runs
    from evalharness.analysis.comparison.trends import trends
    from evalharness.analysis.data.join_runs import JoinedRuns
    from evalharness.report.build.named_texts import named_texts
    from evalharness.report.build.open_run import open_run
    from evalharness.report.build.overrides import parse_overrides
    from evalharness.report.json import as_json_text
    from evalharness.report.sections.comparisons.compare_tables import (
        ComparisonView,
        print_comparisons,
    )
    from evalharness.report.sections.named_texts import print_texts
    from evalharness.report.words.cost_origin import mark_of_all
    from evalharness.store.folder.run import Run
    from evalharness.store.remote.locations import split_runs_and_overrides

    _check_margin(options.margin)
    runs, overrides = split_runs_and_overrides(options.run)
    if not runs:
        raise ConfigError(
            "compare needs a run", hint="evalharness compare quickstart --by temperature"
        )
    report_overrides = parse_overrides(overrides)
    sources = [open_run(Run.open(run), report_overrides) for run in runs]
    names = [source.run.name for source in sources]
    if len(set(names)) < len(names):
        raise ConfigError(f"the runs {', '.join(names)} do not have different names")
    frames = {source.run.name: source.frame for source in sources}
    by = "run" if options.by is None and len(sources) > 1 else options.by
    if by is None:
        raise ConfigError("compare needs an axis", hint=f"--by {_axis_names(sources)[0]}")
    rows: list[Comparison]
    slopes: list[Trend] = []
    if by == "run":
        rows = compare_runs(frames, baseline=options.baseline, margin=options.margin)
    else:
        data = frames if len(frames) > 1 else next(iter(frames.values()))
        rows = compare(data, by=by, baseline=options.baseline, margin=options.margin)
        slopes = trends(data, by=by)
    texts = named_texts(JoinedRuns.of(frames), by)
    mark = mark_of_all(
        (cost.from_bill, cost.known) for s in sources for cost in s.costs.settings.values()
    )
    if options.json:
        content: dict[str, object] = {
            "comparisons": rows,
            "trends": slopes,
            "named_texts": texts,
        }
        data_output().write(as_json_text(content | ({"cost": mark} if mark else {})))
    elif any(row.n for row in rows):
        command = _command_line(options, by)
        for sentence in texts.ambiguous:
            print(f"{sentence}\n")
        print_comparisons(ComparisonView(rows, slopes, command, options.strata, mark))
        print_texts(texts)
    else:
        print("nothing to compare: no metric has a value on both sides", file=sys.stderr)
    return EXIT_OK


def _check_margin(margin: float | None) -> None:
    """Refuse a margin that no difference of shares could lie in, or every one.

    Raises:
        ConfigError: it is not between 0 and 1, both excluded.
    """
    if margin is None or 0 < margin < 1:
        return
    hint = f"--margin {margin / 100:g}" if 1 < margin < 100 else "--margin 0.02"
    raise ConfigError(
        f"--margin {margin:g}: a difference of shares lies between 0 and 1", hint=hint
    )


def _command_line(options: CompareOptions, by: str) -> str:
    """The command as typed, with the axis that was compared."""
    import shlex

    words = ["evalharness", "compare", *options.run, "--by", by]
    words += [] if options.baseline is None else ["--baseline", options.baseline]
    words += [] if options.margin is None else ["--margin", f"{options.margin:g}"]
    return shlex.join(words)


def _axis_names(sources: Sequence[RunData]) -> list[str]:
    axes = [
        name
        for source in sources
        for i in range(len(source.frame.setting_ids))
        for name in source.frame.axes(i)
    ]
    return list(dict.fromkeys(axes)) or ["temperature"]


COMMAND = Command(
    "compare",
    description="Says which settings, or runs, detectably differ from a baseline in score, "
    "agreement, tokens, latency and cost: differences over the same prompts, with intervals and "
    "p values.",
    examples=(
        Example("evalharness compare quickstart --by temperature", "against the lowest"),
        Example(
            "evalharness compare quickstart --by temperature --baseline 0.7 --margin 0.02",
            "against 0.7; also which are equal within 2 points",
        ),
    ),
    options=CompareOptions,
    run=run,
)
