"""The tables of ``evalharness export --table``: the figures of a report, one thing a row.

Every figure is the one that the report has, unrounded; the columns are described in
``docs/report.md``. Ends of 95 % intervals stand beside a figure as ``NAME_lo`` and ``NAME_hi``, and
how many values it is of as ``NAME_n``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from evalharness.analysis.comparison.compare import compare
from evalharness.analysis.data.cell_means import cell_means, cell_repeats
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.metrics import LOAD_METRICS, RATE_METRICS
from evalharness.analysis.summary import SettingSummary
from evalharness.api import figures
from evalharness.cli.figures.point_tables import SETTING_LOAD, load_table, setting_load_figures
from evalharness.cli.figures.table_rows import RunTable, with_ends, with_ends_names
from evalharness.report.build_report import Report
from evalharness.report.sections.comparisons.section import COMPARISONS
from evalharness.report.sections.load.section import LOAD
from evalharness.report.sections.settings.section import SETTINGS

_SETTING_KEYS = ("setting_id", "label")
_TRIAL_COUNTS = ("prompts", "trials", "availability", "availability_lo", "availability_hi",
                 "errors")  # fmt: skip
_AGREEMENTS = (
    *with_ends_names("agreement"), "agreement_n", *with_ends_names("agreement_answer"),
    "agreement_answer_n",
)  # fmt: skip
_TIMES = tuple(
    column
    for of in ("latency", "ttft")
    for column in (*with_ends_names(*(f"{of}_{p}_s" for p in ("p50", "p95", "p99"))), f"{of}_n")
)
_AMOUNTS = (
    "cost_usd", "cost_usd_n", "cost_usd_per_1k_requests", "billed_usd", "billed_usd_n",
    "prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens",
)  # fmt: skip
_PROMPT_KEYS = ("prompt_id", "setting_id", "label")
_CELL_METRICS = (
    "score", "agreement", "agreement_answer", "error_share", "latency_s", "ttft_s", "tpot_s",
    "itl_s", "goodput", "prompt_tokens", "completion_tokens", "cost_usd",
)  # fmt: skip


def settings_table(report: Report) -> RunTable:
    """One row a setting: what it is, and every headline figure."""
    settings = report.data[SETTINGS]
    axes = list(dict.fromkeys(name for setting in settings for name in setting.axes))
    scorers = list(report.frame.scores)[1:]
    # A parameter may be called as a figure is.
    taken = {
        *_SETTING_KEYS,
        *_TRIAL_COUNTS,
        *_AGREEMENTS,
        *_TIMES,
        *_AMOUNTS,
        *SETTING_LOAD,
        "score",
    }
    names = {axis: f"param.{axis}" if axis in taken else axis for axis in axes}
    scores = [
        column
        for name in ("score", *(f"score.{scorer}" for scorer in scorers))
        for column in (*with_ends_names(name), f"{name}_n")
    ]
    columns = [*_SETTING_KEYS, *names.values(), *_TRIAL_COUNTS, *_AGREEMENTS, "tar_at_n",
               "repeats", *scores, *_TIMES, *_AMOUNTS, *SETTING_LOAD]  # fmt: skip
    rows = [
        {
            **{names[axis]: value for axis, value in setting.axes.items()},
            **_setting_figures(setting, scorers),
            **setting_load_figures(report.data[LOAD], setting.setting_id),
        }
        for setting in settings
    ]
    short = ["label", "prompts", "trials", "score", "agreement", "agreement_answer",
             "latency_p50_s", "latency_p95_s", "ttft_p50_s", "throughput_per_s", "goodput",
             "saturation_per_s", "cost_usd"]  # fmt: skip
    return RunTable(columns, short, rows)


def _setting_figures(setting: SettingSummary, scorers: Sequence[str]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "setting_id": setting.setting_id,
        "label": setting.label,
        "prompts": setting.prompts,
        "trials": setting.trials,
        "errors": setting.status["error"],
        "tar_at_n": setting.agreement.raw.tar_at_n,
        "repeats": setting.agreement.raw.n,
        **{name: counts.total for name, counts in setting.tokens.items()},
    }
    cost = setting.cost_usd
    row["cost_usd"] = None if cost.total is None else float(cost.total)
    row["cost_usd_n"], row["billed_usd_n"] = cost.n, cost.billed_n
    row["cost_usd_per_1k_requests"] = cost.per_1k_requests
    row["billed_usd"] = None if cost.billed_total is None else float(cost.billed_total)
    row |= with_ends("availability", setting.availability, setting.availability_ci95)
    for name, agreement in (
        ("agreement", setting.agreement.raw),
        ("agreement_answer", setting.agreement.answer),
    ):
        row |= with_ends(name, agreement.pairwise, agreement.ci95)
        row[f"{name}_n"] = agreement.prompts
    named = {"score": setting.score, **{f"score.{s}": setting.scores[s] for s in scorers}}
    for name, score in named.items():
        row |= with_ends(name, score.mean, score.ci95)
        row[f"{name}_n"] = score.n
    for name, times in (("latency", setting.latency_s), ("ttft", setting.ttft_s)):
        for share in ("p50", "p95", "p99"):
            ends = None if times.ci95 is None else getattr(times.ci95, share)
            row |= with_ends(f"{name}_{share}_s", getattr(times, share), ends)
        row[f"{name}_n"] = times.n
    return row


def comparisons_table(report: Report) -> RunTable:
    """One row a comparison along each axis of the run.

    First those of the report, then those in the metrics of streams and load that it has not.
    """
    short = [
        "metric",
        "a_label",
        "b_label",
        "difference",
        "p_adjusted",
        "detected",
        "n",
        "unit",
        "mde",
    ]
    compared = report.data[COMPARISONS]
    for axis in dict.fromkeys(row.by for row in compared):
        compared = [
            *compared,
            *compare(report.frame, by=axis, metrics=(*LOAD_METRICS, *RATE_METRICS)),
        ]
    rows = [*figures.comparison_rows(compared)]
    columns = [
        f"difference_{name}" if name in ("lo", "hi") else name for name in figures.COMPARISONS
    ]
    for row in rows:
        row["difference_lo"], row["difference_hi"] = row.pop("lo"), row.pop("hi")
    return RunTable(columns, short, rows)


def prompts_table(report: Report) -> RunTable:
    """One row a prompt and setting that has trials; figures are means over the usable repeats."""
    metrics = [*_CELL_METRICS, *(f"score.{name}" for name in list(report.frame.scores)[1:])]
    counted = [column for name in metrics for column in (name, f"{name}_n")]
    columns = [*_PROMPT_KEYS, "trials", "errors", *counted]
    short = ["prompt_id", "label", "trials", "errors", "score", "agreement", "agreement_answer",
             "latency_s", "ttft_s", "completion_tokens", "cost_usd"]  # fmt: skip
    return RunTable(columns, short, list(_prompt_rows(report.frame, metrics)))


def _prompt_rows(frame: RunFrame, metrics: Sequence[str]) -> Iterator[dict[str, Any]]:
    trials, errors = frame.counts().tolist(), frame.counts("error").tolist()
    values = {name: cell_means(frame, name).tolist() for name in metrics}
    repeats = {name: cell_repeats(frame, name).tolist() for name in metrics}
    labels = [frame.label(index) for index in range(len(frame.setting_ids))]
    for prompt, prompt_id in enumerate(frame.prompt_ids):
        for setting, setting_id in enumerate(frame.setting_ids):
            if trials[prompt][setting]:
                yield {
                    "prompt_id": prompt_id,
                    "setting_id": setting_id,
                    "label": labels[setting],
                    "trials": trials[prompt][setting],
                    "errors": errors[prompt][setting],
                    **{name: rows[prompt][setting] for name, rows in values.items()},
                    **{f"{name}_n": rows[prompt][setting] for name, rows in repeats.items()},
                }


#: How each table is made, by its name.
TABLES: dict[str, Callable[[Report], RunTable]] = {
    "settings": settings_table,
    "load": lambda report: load_table(report.data),
    "comparisons": comparisons_table,
    "prompts": prompts_table,
}
