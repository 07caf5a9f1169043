"""``evalharness compare RUN… --by AXIS``: settings against a baseline, paired by prompt."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, NamedTuple

from evalharness.cli.parser import Command, Example, Option, Positional
from evalharness.errors import EXIT_OK, ConfigError
from evalharness.process.stdio import data_output

if TYPE_CHECKING:
    from evalharness.analysis.across.agreement_across import AgreementAcross
    from evalharness.analysis.comparison.comparison import Comparison
    from evalharness.analysis.comparison.prompt_changes import PromptChange
    from evalharness.analysis.comparison.trend import Trend
    from evalharness.analysis.data.frame import RunFrame
    from evalharness.analysis.data.join_runs import JoinedRuns
    from evalharness.analysis.equality.model_equality import ModelEquality
    from evalharness.analysis.logprobs.logprob_distance import LogprobDistance
    from evalharness.analysis.tool_calls.tool_call_check import ToolCallCheck
    from evalharness.report.build.compared_runs import RunComparison
    from evalharness.report.build.named_texts import NamedTexts
    from evalharness.report.build.open_run import RunData
    from evalharness.report.sections.comparisons.compare_tables import ComparisonView


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
    prompts: Annotated[bool, Option("the prompts that changed between runs")] = False
    equality: Annotated[
        bool, Option("also test whether the outputs come from one distribution")
    ] = False
    logprobs: Annotated[
        bool, Option("also compare log probabilities, beyond the noise of repeats")
    ] = False
    tool_calls: Annotated[
        bool, Option("also check tool calls against those of the baseline, the reference")
    ] = False
    html: Annotated[str | None, Option("runs and changed prompts as a page", "FILE")] = None
    json: Annotated[bool, Option("all comparisons as JSON on stdout")] = False


def run(options: CompareOptions) -> int:
    """Print what differs and a table of all comparisons, or everything as JSON.

    ``scoring=…`` and ``answer=…`` among the arguments replace the runs' own. A trend is the slope
    over an axis of three or more numbers. Several runs are joined by prompt; with ``--by run`` they
    are compared with each other. Texts that have names are shown side by side, once.
    """
    from evalharness.report.build.compared_runs import RunComparison
    from evalharness.report.build.open_run import open_run
    from evalharness.report.build.overrides import parse_overrides
    from evalharness.store.folder.run import Run
    from evalharness.store.remote.locations import split_runs_and_overrides

    _check_margin(options.margin)
    typed, overrides = split_runs_and_overrides(options.run)
    if not typed:
        raise ConfigError(
            "compare needs a run", hint="evalharness compare quickstart --by temperature"
        )
    if len(typed) < 2 and (options.prompts or options.html):
        flag = "--prompts" if options.prompts else "--html"
        raise ConfigError(
            f"{flag} is about what changed between runs, and one was given",
            hint=f"evalharness compare BEFORE {typed[0]} {flag}{' FILE' if options.html else ''}",
        )
    report_overrides = parse_overrides(overrides)
    if len(typed) > 1:
        by_run = options.by in (None, "run")
        baseline = options.baseline if by_run else None
        runs = RunComparison(typed, report_overrides, baseline, by_run=by_run)
        return _compare(options, [*runs.sources.values()], runs)
    return _compare(options, [open_run(Run.open(typed[0]), report_overrides)], None)


def _compare(
    options: CompareOptions, sources: Sequence[RunData], runs: RunComparison | None
) -> int:
    """Compare opened runs along an axis, and print or write what is asked for."""
    from evalharness.analysis.data.join_runs import JoinedRuns
    from evalharness.report.build.named_texts import named_texts
    from evalharness.report.json import as_json_text
    from evalharness.report.sections.comparisons.across_words import across_lines
    from evalharness.report.sections.comparisons.compare_tables import ComparisonView
    from evalharness.report.words.cost_origin import mark_of_all

    by = "run" if options.by is None and runs is not None else options.by
    if by is None and len(sources[0].frame.setting_ids) == 1:
        raise ConfigError(
            f"run `{sources[0].run.name}` has a single setting, which nothing can be compared with",
            hint=f"sweep an axis, or compare it with a run: evalharness compare BEFORE "
            f"{sources[0].run.name}",
        )
    if by is None:
        raise ConfigError("compare needs an axis", hint=f"--by {_axis_names(sources)[0]}")
    frames = {sources[0].run.name: sources[0].frame} if runs is None else runs.frames
    joined = JoinedRuns.of(frames)
    figures = _computed(options, by, joined, frames, runs)
    rows, slopes, across, equality, logprobs, tool_calls = figures
    changes = runs.changes() if runs is not None and (options.prompts or options.html) else []
    texts = named_texts(joined, by)
    mark = mark_of_all(
        (cost.from_bill, cost.known) for s in sources for cost in s.costs.settings.values()
    )
    if runs is not None and options.html:
        _write_page(options.html, runs, figures, changes)
    if options.json:
        for sentence in runs.facts.obstacles if runs is not None else ():
            print(sentence, file=sys.stderr)
        content: dict[str, object] = {
            "comparisons": rows,
            "agreement_across": across,
            "trends": slopes,
            "named_texts": texts,
        }
        content |= {"runs": runs.facts} if runs is not None else {}
        content |= {"prompt_changes": changes} if options.prompts else {}
        content |= {} if equality is None else {"model_equality": equality}
        content |= {} if logprobs is None else {"logprob_distance": logprobs}
        content |= {} if tool_calls is None else {"tool_call_check": tool_calls}
        data_output().write(as_json_text(content | ({"cost": mark} if mark else {})))
    else:
        command = _command_line(options, by)
        lines = across_lines(across)
        view = ComparisonView(
            rows, slopes, command, options.strata, mark, across, lines, equality or (),
            logprobs or (), tool_calls or (),
        )  # fmt: skip
        _print(view, texts, runs, changes if options.prompts else None)
    return EXIT_OK


class _Figures(NamedTuple):
    rows: list[Comparison]
    slopes: list[Trend]
    across: list[AgreementAcross]
    equality: list[ModelEquality] | None  # None where it was not asked for
    logprobs: list[LogprobDistance] | None  # the same
    tool_calls: list[ToolCallCheck] | None  # the same


def _computed(
    options: CompareOptions,
    by: str,
    joined: JoinedRuns,
    frames: Mapping[str, RunFrame],
    runs: RunComparison | None,
) -> _Figures:
    """Everything that is compared along the axis; nothing where no run shares a setting."""
    from evalharness.analysis.comparison.compare import (
        across_by,
        compare,
        compare_runs,
    )
    from evalharness.analysis.comparison.trends import trends
    from evalharness.analysis.data.metrics import ALL_METRICS

    metrics = ALL_METRICS if runs is None else runs.metrics
    if by == "run" and runs is not None:
        if not runs.have_common_settings:
            return _Figures(
                [], [], [],
                [] if options.equality else None,
                [] if options.logprobs else None,
                [] if options.tool_calls else None,
            )  # fmt: skip
        base = runs.facts.baseline
        rows = compare_runs(frames, baseline=base, margin=options.margin, metrics=metrics)
        return _Figures(
            rows, [], across_by(joined, by, base), *_identity(options, joined, by, base)
        )
    data = frames if len(frames) > 1 else next(iter(frames.values()))
    rows = compare(data, by=by, baseline=options.baseline, margin=options.margin, metrics=metrics)
    slopes = trends(data, by=by, metrics=metrics)
    across = across_by(joined, by, options.baseline)
    return _Figures(rows, slopes, across, *_identity(options, joined, by, options.baseline))


def _identity(
    options: CompareOptions, joined: JoinedRuns, by: str, baseline: str | None
) -> tuple[list[ModelEquality] | None, list[LogprobDistance] | None, list[ToolCallCheck] | None]:
    """Whether both sides are the same model, in each way that is asked for; None: it is not."""
    from evalharness.analysis.comparison.compare import (
        equality_by,
        logprob_distance_by,
        tool_call_check_by,
    )

    return (
        equality_by(joined, by, baseline) if options.equality else None,
        logprob_distance_by(joined, by, baseline) if options.logprobs else None,
        tool_call_check_by(joined, by, baseline) if options.tool_calls else None,
    )


def _print(
    view: ComparisonView,
    texts: NamedTexts,
    runs: RunComparison | None,
    changes: Sequence[PromptChange] | None,
) -> None:
    """Print what keeps runs from being compared, the comparisons, and what else differs."""
    from evalharness.report.sections.comparisons.across_words import (
        NOTHING_COMPARED,
        is_anything_compared,
    )
    from evalharness.report.sections.comparisons.compare_tables import print_comparisons
    from evalharness.report.sections.comparisons.run_tables import (
        print_changes,
        print_run_differences,
        print_run_facts,
    )
    from evalharness.report.sections.named_texts import print_texts

    if runs is not None:
        print_run_facts(runs.facts)
    if is_anything_compared(view.rows, view.across):
        for sentence in texts.ambiguous:
            print(f"{sentence}\n")
        print_comparisons(view)
        print_texts(texts)
    elif runs is not None:
        print(NOTHING_COMPARED)
    else:
        print("nothing to compare: no metric has a value on both sides", file=sys.stderr)
    if runs is not None:
        print_run_differences(runs.facts)
        if changes is not None:
            print_changes(changes, runs.facts)


def _write_page(
    typed: str,
    runs: RunComparison,
    figures: _Figures,
    changes: Sequence[PromptChange],
) -> None:
    from evalharness.cli.output_files import output_path
    from evalharness.report.sections.comparisons.run_page import write_run_page

    target = output_path(typed)
    write_run_page(
        runs.facts, figures.rows, changes, target, figures.across,
        equality=figures.equality or (), logprobs=figures.logprobs or (),
        tool_calls=figures.tool_calls or (),
    )  # fmt: skip
    print(f"written: {target}", file=sys.stderr)


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
    words += ["--equality"] if options.equality else []
    words += ["--logprobs"] if options.logprobs else []
    words += ["--tool-calls"] if options.tool_calls else []
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
        Example(
            "evalharness compare quickstart --by temperature --baseline 0.7 --margin 0.02",
            "against 0.7; also which are equal within 2 points",
        ),
        Example("evalharness compare yesterday today --prompts", "which prompts changed, too"),
    ),
    options=CompareOptions,
    run=run,
)
