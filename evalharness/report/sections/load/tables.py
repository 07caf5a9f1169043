"""The load points as tables and sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from evalharness.analysis.load.load_facts import Sessions
from evalharness.analysis.load.load_metrics import MetricSummary
from evalharness.analysis.summary import SettingSummary
from evalharness.process.text import plural
from evalharness.report.build.load_data import LoadData, LoadPoint
from evalharness.report.sections.load.quality import (
    QUALITY_HEADINGS,
    has_quality,
    point_quality,
    quality_rows,
)
from evalharness.report.sections.load.sweeps import (
    SWEEP_HEADINGS,
    capacity_headings,
    capacity_lines,
    capacity_rows,
    is_shown,
    sweep_lines,
    sweep_rows,
)
from evalharness.report.words.format_numbers import DASH, percent, seconds

RATE_HEADINGS = (
    "load point", "asked/s", "sent/s", "done/s", "tokens/s", "in flight", "delay\np99", "failed",
    "goodput",
)  # fmt: skip
TIME_HEADINGS = (
    "load point",
    "from",
    "n",
    "TTFT s\np50/p95/p99",
    "TPOT ms\np50/p95",
    "latency s\np50/p95/p99",
)
FOOTNOTE = (
    "from sent: as the server took it; from scheduled: as a user waited, our own queue included. "
    "TPOT: (last − first token) / (tokens − 1). goodput: share of all requests due that met the "
    "SLO from schedule"
)


class LoadTable(NamedTuple):
    """One table of the load section."""

    headings: tuple[str, ...]
    rows: list[list[str]]


def load_tables(data: LoadData, settings: Sequence[SettingSummary] = ()) -> list[LoadTable]:
    """What sweeps found, and of the load points rates, times, quality, and work for its cost."""
    names = [", ".join(sweep.labels) if len(data.sweeps) > 1 else "" for sweep in data.sweeps]
    headings = [(name or SWEEP_HEADINGS[0], *SWEEP_HEADINGS[1:]) for name in names]
    tables = [
        *(LoadTable(h, sweep_rows(s)) for h, s in zip(headings, data.sweeps, strict=True)),
        LoadTable(RATE_HEADINGS, [_rate_row(point) for point in data.points]),
        LoadTable(TIME_HEADINGS, [row for point in data.points for row in _time_rows(point)]),
    ]
    quality = point_quality(data, settings)
    if has_quality(quality):
        tables.append(LoadTable(QUALITY_HEADINGS, quality_rows(quality)))
    if data.capacity is not None and is_shown(data):
        tables.append(LoadTable(capacity_headings(data.capacity), capacity_rows(data.capacity)))
    return tables


def _rate_row(point: LoadPoint) -> list[str]:
    """The requested and achieved rates of a load point, by :data:`RATE_HEADINGS`."""
    flight, goodput, delay = point.concurrency, point.goodput, point.schedule_delay_s
    mean = DASH if flight.mean is None else f"{flight.mean:.1f}"
    return [
        point.label + ("" if point.valid else " INVALID"),
        _rate_text(point.requested_rate),
        _rate_text(point.achieved_rate),
        _rate_text(point.throughput_per_s),
        _rate_text(point.output_tokens_per_s),
        mean if flight.requested is None else f"{mean} of {flight.requested}",
        seconds(delay.p99 if delay.p99 is not None else delay.max),
        f"{point.requests.failed} of {point.requests.sent}",
        DASH if goodput is None or goodput.share is None else percent(goodput.share, 1),
    ]


def _time_rows(point: LoadPoint) -> Iterator[list[str]]:
    """Times of a load point, from sending and from the schedule, by :data:`TIME_HEADINGS`."""
    tpot, ttft, latency = point.tpot_s, point.ttft_s, point.latency_s
    tpot_text = "/".join(
        DASH if value is None else f"{1000 * value:.3g}" for value in (tpot.p50, tpot.p95)
    )
    yield [
        point.label, "sent", str(latency.sent.n), _percentiles_text(ttft.sent), tpot_text,
        _percentiles_text(latency.sent),
    ]  # fmt: skip
    yield [
        "", "scheduled", str(latency.scheduled.n), _percentiles_text(ttft.scheduled), "",
        _percentiles_text(latency.scheduled),
    ]  # fmt: skip


def load_lines(data: LoadData) -> list[str]:
    """Sentences below the tables: errors, retries, searches. Invalid points are caveats."""
    lines = [*sweep_lines(data)]
    if data.capacity is not None and is_shown(data):
        lines += capacity_lines(data.capacity)
    lines += [line for point in data.points for line in _point_lines(point)]
    lines += [
        f"search{' for ' + '; '.join(search.labels) if search.labels else ''}: {search.outcome} "
        f"(goodput {percent(search.goodput)})"
        for search in data.searches
    ]
    if data.unfinished_measurements:
        count = plural(data.unfinished_measurements, "measurement")
        lines.append(f"{count} did not finish; in no figure")
    return lines


def _point_lines(point: LoadPoint) -> Iterator[str]:
    for error in point.errors:
        http = f" (HTTP {error.http_status})" if error.http_status else ""
        yield (
            f"{point.label}: {plural(error.attempts, 'request')} failed, "
            f"{error.error_kind or 'unknown'}{http}; in no latency"
        )
    if point.requests.retries:
        yield f"{point.label}: {point.requests.retries} retries were sent"
    if point.sessions is not None:
        yield f"{point.label}: {_sessions_text(point.sessions)}"
    if point.clocks is not None:
        agree = seconds(point.clocks.error_s)
        yield (
            f"{point.label}: measured by {plural(point.clocks.workers, 'worker')} on one schedule; "
            f"their clocks were up to {seconds(point.clocks.offset_s)} apart from the command's, "
            f"which is taken off, and agree to {agree}"
        )
    if point.goodput is not None and point.goodput.unjudged:
        yield (
            f"{point.label}: {point.goodput.unjudged} answers lack a figure the SLO asks for, "
            "and count as misses"
        )


def _sessions_text(sessions: Sessions) -> str:
    """How many conversations arrived, and how fast."""
    text = plural(sessions.arrived, "session") + " arrived"
    if sessions.arrived_per_s is not None:
        text += f", {_rate_text(sessions.arrived_per_s)} a second"
    if sessions.requested_per_s is not None:
        text += f" of {_rate_text(sessions.requested_per_s)} asked for"
    if sessions.requested_in_flight is not None:
        text += f"; {sessions.requested_in_flight} in flight, while their users think as well"
    return text + "; all rates of the table are of requests"


def _percentiles_text(summary: MetricSummary) -> str:
    return "/".join(
        DASH if value is None else f"{value:.3g}"
        for value in (summary.p50, summary.p95, summary.p99)
    )


def _rate_text(value: float | None) -> str:
    return DASH if value is None else f"{value:.3g}" if value < 100 else f"{value:,.0f}"
