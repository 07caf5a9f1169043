"""The figures of load points for ``evalharness export --table``: of each point, and of settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evalharness.analysis.load.summary import MetricSummary
from evalharness.api import figures
from evalharness.cli.figures.point_figures import point_of, search_of
from evalharness.cli.figures.table_rows import RunTable, with_ends, with_ends_names
from evalharness.report.build.load_data import LoadData, LoadPoint
from evalharness.report.section import ReportData
from evalharness.report.sections.load.section import LOAD

_SHARES = ("p50", "p95", "p99")
_TIMES = ("latency", "ttft", "tpot", "itl")
_TIME_COLUMNS = tuple(
    column
    for of in _TIMES
    for column in (*(with_ends_names(*(f"{of}_{share}_s" for share in _SHARES))), f"{of}_n")
)
_RATES = (
    *with_ends_names("throughput_per_s", "output_tokens_per_s"), "completed",
    *with_ends_names("goodput"), "goodput_per_s", "goodput_n",
)  # fmt: skip
_SATURATION = ("saturation_per_s", "saturation_above_per_s", "saturation_n")
# Columns of `run.load()` that get their unit, an interval or a place of their own here.
_MOVED = {
    *(f"{of}_{share}" for of in ("latency", "ttft") for share in _SHARES), "requested_rate",
    "achieved_rate", "rate", "throughput_per_s", "output_tokens_per_s", "goodput", "goodput_per_s",
}  # fmt: skip
_POINT = tuple(name for name in figures.LOAD if name not in _MOVED)
_ASKED = ("rate_per_s", "requested_rate_per_s", "achieved_rate_per_s")

#: Columns of a setting: those of the load point that stands for it.
SETTING_LOAD = (
    *_RATES, *(name for name in _TIME_COLUMNS if name.startswith(("tpot", "itl"))), *_SATURATION,
)  # fmt: skip


def load_table(report: ReportData) -> RunTable:
    """One row a load point; of a search also the rates that held and did not."""
    data = report[LOAD]
    columns = [*_POINT, *_ASKED, *_RATES, "error_share", *_TIME_COLUMNS, *_SATURATION]
    short = [
        "load", "label", "valid", "requested_rate_per_s", "throughput_per_s", "output_tokens_per_s",
        "completed", "goodput", "error_share", "ttft_p50_s", "ttft_p95_s", "tpot_p50_s",
        "latency_p50_s", "latency_p95_s", "saturation_per_s",
    ]  # fmt: skip
    points = () if data is None else data.points
    rows: list[dict[str, Any]] = []
    for row, point in zip(figures.load_rows(data), points, strict=True):
        target = {
            f"{name}_per_s": row[name] for name in ("rate", "requested_rate", "achieved_rate")
        }
        ids = [setting.setting_id for setting in point.settings]
        searched = {} if data is None or not point.searched else _saturation(data, ids)
        rows.append({**row, **target, **_figures(point), **searched})
    return RunTable(columns, short, rows)


def setting_load_figures(data: LoadData | None, setting_id: str) -> dict[str, Any]:
    """The figures of the valid load point, and of the search, that stand for a setting."""
    point = None if data is None else point_of(data, setting_id)
    row = {} if point is None or not point.valid else _figures(point)
    search = None if data is None else search_of(data, setting_id)
    if data is not None and search is not None:
        row |= _saturation(data, search.settings)
    return {name: row.get(name) for name in SETTING_LOAD}


def _figures(point: LoadPoint) -> dict[str, Any]:
    counts = point.requests
    ended = counts.delivered + counts.failed
    row: dict[str, Any] = {
        "error_share": counts.failed / ended if ended else None,
        "completed": point.completed,
        **with_ends("throughput_per_s", point.throughput_per_s, point.throughput_ci95),
        **with_ends("output_tokens_per_s", point.output_tokens_per_s, point.output_tokens_ci95),
    }
    if (met := point.goodput) is not None:
        row |= with_ends("goodput", met.share, met.ci95)
        row |= {"goodput_per_s": met.per_s, "goodput_n": met.of}
    summaries = (
        point.latency_s.scheduled,
        point.ttft_s.scheduled,
        point.tpot_s,
        point.inter_chunk_s,
    )
    for name, summary in zip(_TIMES, summaries, strict=True):
        row |= _times(name, summary)
    return row


def _times(name: str, summary: MetricSummary) -> dict[str, Any]:
    row: dict[str, Any] = {f"{name}_n": summary.n}
    for share in _SHARES:
        row |= with_ends(f"{name}_{share}_s", getattr(summary, share), summary.ci95.get(share))
    return row


def _saturation(data: LoadData, ids: Sequence[str]) -> dict[str, Any]:
    """The outcome of the search for some settings; no interval of confidence."""
    for search in data.searches:
        if search.settings == list(ids):
            return {
                "saturation_per_s": search.low,
                "saturation_above_per_s": search.high,
                "saturation_n": len(search.rates) - len(search.unmeasured_rates),
            }
    return {}
