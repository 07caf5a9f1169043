"""``evalharness trend``: the figures of runs over dates."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from evalharness.analysis.over_time.run_figures import (
    FIRST_LOGPROB,
    METRICS,
    SAME_TEXT,
    Reference,
    RunFigures,
    reference_of,
    run_figures,
)
from evalharness.analysis.over_time.series import TrendSeries, trend_series
from evalharness.errors import ConfigError
from evalharness.process.text import first_names
from evalharness.report.build.open_run import RunData, open_run
from evalharness.report.build.scoring import ReportOverrides
from evalharness.report.several_runs.find_runs import in_order_of_time, made_at
from evalharness.store.folder.run import Run

if TYPE_CHECKING:
    import pyarrow as pa


class RunTrend(msgspec.Struct, frozen=True, kw_only=True):
    """Runs over dates.

    Attributes:
        runs: their names, in the order of time.
        reference: the run that ``same_text_across`` and ``first_token_logprob_across`` compare
            with.
        remarks: what limits the comparison, one sentence each.
        series: one a metric and setting that two or more runs have; where there is none, the
            figures of each run alone.
    """

    runs: list[str]
    reference: str
    remarks: list[str]
    series: list[TrendSeries]


def build_trend(runs: Sequence[Run], reference: str | None, overrides: ReportOverrides) -> RunTrend:
    """Read runs one after the other, and test their figures for a change.

    Args:
        runs: two or more, of different names.
        reference: the name of one of them; None is the oldest.
        overrides: scoring and prices in place of the runs' own.

    Raises:
        ConfigError: no run has the name of the reference, or a run cannot be read.
    """
    names = [run.name for run in runs]
    if reference is not None and reference not in names:
        raise ConfigError(
            f"--reference {reference}: it is not among the runs",
            hint=f"these are: {first_names(names)}",
        )
    runs = in_order_of_time(runs)
    base = runs[0] if reference is None else runs[names.index(reference)]
    figures, texts = _reference_figures(base, overrides)
    read = [figures if run is base else _figures(run, overrides, texts) for run in runs]
    remarks, left_out = _scoring_remarks(runs, overrides)
    remarks = [*_prompt_remarks(read), *remarks]
    series = trend_series(read, [metric for metric in METRICS if metric not in left_out])
    remarks += [*_sharing_remarks(series), *_date_remarks(read)]
    ordered = sorted(read, key=lambda run: (run.at, run.run))
    return RunTrend(
        runs=[run.run for run in ordered], reference=base.name, remarks=remarks, series=series
    )


def _reference_figures(run: Run, overrides: ReportOverrides) -> tuple[RunFigures, Reference]:
    data = open_run(run, overrides)
    figures = _reduced(data, None)
    return figures, reference_of(data.frame, figures.prompts)


def _figures(run: Run, overrides: ReportOverrides, texts: Reference) -> RunFigures:
    return _reduced(open_run(run, overrides), texts)


def _reduced(data: RunData, texts: Reference | None) -> RunFigures:
    ids: list[Any] = _column(data.prompts, "prompt_id")
    clusters = _column(data.prompts, "cluster")
    return run_figures(
        data.run.name,
        data.frame,
        made_at=made_at(data.run),
        contents=dict(zip(ids, _column(data.prompts, "content_hash"), strict=True)),
        clusters={i: name for i, name in zip(ids, clusters, strict=True) if name is not None},
        reference=texts,
    )


def _column(prompts: pa.Table, name: str) -> list[Any]:
    return prompts[name].to_pylist()


def _scoring_remarks(runs: Sequence[Run], overrides: ReportOverrides) -> tuple[list[str], set[str]]:
    """Sentences on runs that are scored differently, and the metrics that this leaves out."""
    configs = [next(run.configs()) for run in runs]
    remarks: list[str] = []
    left_out: set[str] = set()
    scorings = {json.dumps(config.scoring, sort_keys=True) for config in configs}
    if overrides.scoring is None and len(scorings) > 1:
        left_out |= {"score"}
        remarks.append(
            "The runs are scored by different scorers: score is left out (scoring=NAME scores "
            "all of them alike)."
        )
    answers = {json.dumps(config.answer, sort_keys=True) for config in configs}
    if overrides.answer is None and len(answers) > 1:
        left_out |= {"agreement_answer"}
        remarks.append(
            "The runs extract answers differently: agreement of answers is left out (answer=… "
            "sets one for all)."
        )
    return remarks, left_out


def _sharing_remarks(series: Sequence[TrendSeries]) -> list[str]:
    """A sentence where no figure is of two runs."""
    if not series:
        return ["No run has a figure to show: evalharness report RUN says what each holds."]
    if any(len(each.points) > 1 for each in series):
        return []
    return [
        "No two runs have a figure of the same setting: each stands for itself, untested "
        "(evalharness compare RUN RUN says what they share)."
    ]


def _date_remarks(runs: Sequence[RunFigures]) -> list[str]:
    """A sentence on runs whose records have no time."""
    undated = [run.run for run in runs if not run.dated]
    if not undated:
        return []
    return [
        f"No date in the records of {first_names(undated)}: they stand where they were imported; a "
        "column `sent_at` in the file of evalharness import gives them their dates."
    ]


def _prompt_remarks(runs: Sequence[RunFigures]) -> list[str]:
    """Sentences on prompts that not all runs have."""
    by_run = [set(run.prompts) for run in runs]
    everywhere: set[str] = by_run[0].intersection(*by_run)
    anywhere: set[str] = by_run[0].union(*by_run)
    contents: dict[str, set[str]] = {}
    for key in anywhere:
        contents.setdefault(key.partition("\0")[0], set()).add(key)
    remarks: list[str] = []
    changed = sorted(name for name, keys in contents.items() if len(keys) > 1)
    if not any(left & right for left in by_run for right in by_run if left is not right):
        remarks.append(
            "No prompt is in two of the runs: their figures stand beside each other, untested "
            "(evalharness compare BEFORE AFTER --prompts tells which prompts are new and gone)."
        )
    elif len(everywhere) < len(anywhere):
        remarks.append(
            f"{len(everywhere):,} of {len(anywhere):,} prompts are in every run; each prompt is "
            "compared with itself alone."
        )
    if changed:
        remarks.append(
            f"The content of {first_names(changed)} is not the same in all runs: it counts as a "
            "prompt of its own each time."
        )
    return remarks


#: The metrics with their names in sentences and tables.
METRIC_NAMES = {
    "score": "score",
    "agreement": "same text within a run",
    "agreement_answer": "same answer within a run",
    SAME_TEXT: "same text as the reference run",
    "error_share": "failed trials",
    FIRST_LOGPROB: "log-probability of the reference run's first token",
    "latency_s": "latency",
    "ttft_s": "time to the first token",
    "completion_tokens": "completion tokens",
    "cost_usd": "cost of a request",
}
