"""Tables and sentences about the servers behind one name."""

from __future__ import annotations

from collections.abc import Sequence

from evalharness.analysis.load.summary import MetricSummary
from evalharness.analysis.replicas import ReplicaData, ReplicaFigures
from evalharness.process.text import plural
from evalharness.report.words.format_numbers import (
    DASH,
    percent,
    percentile_interval,
    seconds,
    share_interval,
)
from evalharness.report.words.plain_table import PlainTable

HEADING = "Servers behind one name"
NOTE = (
    "servers: times of final answers, from sending. tok/s and in flight: means over the window of "
    "a load point, or in batch evaluation over the time in which any server had a request. "
    "Intervals [95 % CI] are over prompts or stretches of time, whichever is wider."
)
MAX_CONSOLE_ROWS = 24  # the JSON has all
MAX_PAGE_ROWS = 200
_MAX_LINES = 5


def replica_table(data: ReplicaData, max_rows: int) -> PlainTable:
    """A row a load point and server."""
    several = len({figures.point for figures in data.servers}) > 1
    headings = [
        "server", "attempts", "share\n[95% CI]", "failed\n[95% CI]", "answers",
        "TTFT p50\n[95% CI]", "latency p50\n[95% CI]", "latency\np95", "tok/s\n[95% CI]",
        "in flight\n[95% CI]",
    ]  # fmt: skip
    rows = [_row(figures, several=several) for figures in data.servers]
    shown = [i for i in range(len(headings)) if i == 0 or any(row[i] != DASH for row in rows)]
    return PlainTable(
        HEADING,
        [headings[i] for i in shown],
        [[row[i] for i in shown] for row in rows[:max_rows]],
        max(0, len(rows) - max_rows),
    )


def _row(figures: ReplicaFigures, *, several: bool) -> list[str]:
    name = f"{figures.point}: {figures.replica}" if several else figures.replica
    return [
        name,
        f"{figures.attempts:,}",
        _share(figures.share, figures.share_ci95),
        _share(figures.failed_share, figures.failed_ci95),
        f"{figures.answers:,}",
        _median(figures.ttft_s),
        _median(figures.latency_s),
        seconds(figures.latency_s.p95),
        _mean(figures.output_tokens_per_s, figures.output_tokens_ci95),
        _mean(figures.in_flight, figures.in_flight_ci95),
    ]


def _share(value: float | None, ends: Sequence[float] | None) -> str:
    return DASH if value is None else f"{percent(value)} {share_interval(ends)}".strip()


def _median(times: MetricSummary) -> str:
    return f"{seconds(times.p50)} {percentile_interval(times.ci95.get('p50'), times.p50)}".strip()


def _mean(value: float | None, ends: Sequence[float] | None) -> str:
    if value is None:
        return DASH
    return _number(value) + ("" if ends is None else f" [{_number(ends[0])}, {_number(ends[1])}]")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 99.5 else f"{value:.3g}"


def replica_lines(data: ReplicaData) -> list[str]:
    """Which servers answered nothing, and which are slower than another."""
    lines: list[str] = []
    for name in dict.fromkeys(figures.replica for figures in data.servers):
        own = [figures for figures in data.servers if figures.replica == name]
        attempts = sum(figures.attempts for figures in own)
        if attempts and not any(figures.answers for figures in own):
            lines.append(f"{name} answered none of its {plural(attempts, 'attempt')}.")
    for difference in data.differences[:_MAX_LINES]:
        at = "" if difference.point is None else f"{difference.point}: "
        lines.append(
            f"{at}{difference.slower} is slower than {difference.faster}: a median of "
            f"{seconds(difference.slower_p50_s)} against {seconds(difference.faster_p50_s)}."
        )
    more = len(data.differences) - _MAX_LINES
    if more > 0:
        lines.append(f"They differ at {plural(more, 'load point')} more.")
    if not data.differences and data.comparisons:
        pairs = plural(data.comparisons, "pair")
        lines.append(f"No two servers differ in their median latency ({pairs} compared).")
    return lines
