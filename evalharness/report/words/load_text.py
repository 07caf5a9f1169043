"""The load section as tables and sentences, for console and page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from evalharness.process.text import plural
from evalharness.report.words.format_numbers import DASH, percent, seconds
from evalharness.report.words.sanitize import printable

if TYPE_CHECKING:
    from rich.table import Table

Row = dict[str, Any]


class LoadTable(NamedTuple):
    """One table of the load section."""

    headings: tuple[str, ...]
    rows: list[list[str]]


class LoadView(NamedTuple):
    """The load section for display."""

    tables: list[LoadTable]
    lines: list[str]
    note: str


def load_view(data: Row | None) -> LoadView | None:
    """The tables and sentences of the section; None in batch evaluation."""
    if data is None:
        return None
    points: list[Row] = data["points"]
    tables = [
        LoadTable(LOAD_HEADINGS, [load_row(point) for point in points]),
        LoadTable(TIME_HEADINGS, [row for point in points for row in time_rows(point)]),
    ]
    return LoadView(tables, load_lines(data), FOOTNOTE)


def load_tables(data: Row) -> list[Table]:
    """Two tables of the load points for a terminal: requested and achieved rates, and times."""
    from rich.table import Table
    from rich.text import Text

    view = load_view(data)
    assert view is not None
    tables: list[Table] = []
    for load_table in view.tables:
        table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold")
        for i, heading in enumerate(load_table.headings):
            table.add_column(heading, justify="right" if i else "left", no_wrap=bool(i))
        for row in load_table.rows:
            table.add_row(*(Text(printable(cell)) for cell in row))
        tables.append(table)
    return tables


LOAD_HEADINGS = (
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


def load_row(point: Row) -> list[str]:
    """The requested and achieved rates of a load point, by :data:`LOAD_HEADINGS`."""
    flight, goodput, counts = point["concurrency"], point["goodput"], point["requests"]
    delay = point["schedule_delay_s"]
    mean = DASH if flight["mean"] is None else f"{flight['mean']:.1f}"
    return [
        point["label"] + ("" if point["valid"] else " INVALID"),
        _rate(point["requested_rate"]),
        _rate(point["achieved_rate"]),
        _rate(point["throughput_per_s"]),
        _rate(point["output_tokens_per_s"]),
        mean if flight["asked"] is None else f"{mean} of {flight['asked']}",
        seconds(delay["p99"] if delay["p99"] is not None else delay["max"]),
        f"{counts['failed']} of {counts['sent']}",
        DASH if goodput is None or goodput["share"] is None else percent(goodput["share"], 1),
    ]


def time_rows(point: Row) -> list[list[str]]:
    """Times of a load point, from sending and from the schedule, by :data:`TIME_HEADINGS`."""
    tpot = point["tpot_s"]
    tpot_text = "/".join(
        DASH if tpot[name] is None else f"{1000 * tpot[name]:.3g}" for name in ("p50", "p95")
    )
    return [
        [
            point["label"] if origin == "sent" else "",
            origin,
            str(point["latency_s"][origin]["n"]),
            _percentiles_text(point["ttft_s"][origin]),
            tpot_text if origin == "sent" else "",
            _percentiles_text(point["latency_s"][origin]),
        ]
        for origin in ("sent", "scheduled")
    ]


def load_lines(data: Row) -> list[str]:
    """Sentences below the tables: errors, retries, searches. Invalid points are caveats."""
    lines: list[str] = []
    for point in data["points"]:
        for error in point["errors"]:
            http = f" (HTTP {error['http_status']})" if error["http_status"] else ""
            lines.append(
                f"{point['label']}: {plural(error['attempts'], 'request')} failed, "
                f"{error['error_kind'] or 'unknown'}{http}; in no latency"
            )
        if point["requests"]["retries"]:
            lines.append(f"{point['label']}: {point['requests']['retries']} retries were sent")
        goodput = point["goodput"]
        if goodput is not None and goodput["unjudged"]:
            lines.append(
                f"{point['label']}: {goodput['unjudged']} answers lack a figure the SLO asks for, "
                "and count as misses"
            )
    lines += [
        f"search{' for ' + '; '.join(s['labels']) if s['labels'] else ''}: {s['outcome']} "
        f"(goodput {percent(s['goodput'])})"
        for s in data["searches"]
    ]
    if data["unfinished_measurements"]:
        count = plural(data["unfinished_measurements"], "measurement")
        lines.append(f"{count} did not finish; in no figure")
    return lines


FOOTNOTE = (
    "from sent: as the server took it; from scheduled: as a user waited, our own queue included. "
    "TPOT: (last − first token) / (tokens − 1). goodput: share of all requests due that met the "
    "SLO from schedule"
)


def _percentiles_text(percentiles: Row) -> str:
    return "/".join(
        DASH if percentiles[name] is None else f"{percentiles[name]:.3g}"
        for name in ("p50", "p95", "p99")
    )


def _rate(value: float | None) -> str:
    return DASH if value is None else f"{value:.3g}" if value < 100 else f"{value:,.0f}"
