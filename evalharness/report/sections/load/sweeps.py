"""Idle, knee and saturation, and work per GPU and per dollar, as tables and sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from evalharness.analysis.load.capacity import Capacity
from evalharness.process.text import plural
from evalharness.report.build.load_data import LoadData, LoadSweep, SweepFigure
from evalharness.report.words.format_numbers import DASH

SWEEP_HEADINGS = ("", "measured", "95 % interval", "n")
_PER_TEXT = {"server": "", "gpu": " per GPU", "usd": " per $"}


def sweep_rows(sweep: LoadSweep) -> list[list[str]]:
    """The figures of a sweep, by :data:`SWEEP_HEADINGS`."""
    rows = [_figure_row("idle latency, p50", sweep.idle_latency_s, "s")]
    if sweep.over == "rate":
        low, high = sweep.knee_low, sweep.knee_high
        value = DASH if sweep.knee_rate is None else f"{sweep.knee_rate:.3g}/s"
        rows.append(["knee", value, f"tried {_bounds(low, high)}", ""])
    rows.append(_figure_row("knee, requests in flight", sweep.knee_concurrency, ""))
    rows.append(_figure_row("saturation, answers", sweep.saturation_per_s, "/s"))
    return rows


def _bounds(low: float | None, high: float | None) -> str:
    ends = [DASH if end is None else f"{end:g}" for end in (low, high)]
    return f"{ends[0]} to {ends[1]}/s"


def _figure_row(name: str, figure: SweepFigure | None, unit: str) -> list[str]:
    if figure is None:
        return [name, DASH, DASH, ""]
    space = " " if unit == "s" else ""
    least = "≥ " if figure.at_least else ""
    ends = figure.ci95 or [None, None]
    interval = ", ".join(DASH if end is None else f"{end:.3g}" for end in ends)
    shown = DASH if figure.ci95 is None else f"[{interval}]"
    return [name, f"{least}{figure.value:.3g}{space}{unit}", shown, f"{figure.n:,}"]


def sweep_lines(data: LoadData) -> Iterator[str]:
    """What each sweep found, a sentence each."""
    for sweep in data.sweeps:
        of = f"{'; '.join(sweep.labels)}: " if len(data.sweeps) > 1 and sweep.labels else ""
        yield from (of + line for line in sweep.outcome)


def work_title(capacity: Capacity) -> str:
    """What the work of a server is counted in: ``tokens/s per GPU``, ``tokens per $``."""
    if capacity.per == "usd":
        return f"output {capacity.unit} per $" if capacity.unit == "tokens" else "answers per $"
    unit = "output tokens/s" if capacity.unit == "tokens" else "answers/s"
    return unit + _PER_TEXT[capacity.per]


def speed_title(capacity: Capacity) -> str:
    """What the speed for a user is counted in."""
    return "tokens/s of a user" if capacity.unit == "tokens" else "answers/s of a user"


def capacity_headings(capacity: Capacity) -> tuple[str, ...]:
    """The headings of :func:`capacity_rows`."""
    return (
        "load point", speed_title(capacity), work_title(capacity), "95 % interval", "n", "best"
    )  # fmt: skip


def capacity_rows(capacity: Capacity) -> list[list[str]]:
    """A row a load point: what it does for a user, and for the cost of the server."""
    return [
        [
            point.label, _number(point.user_speed), _number(point.work),
            _interval(point.work_ci95), f"{point.n:,}", "yes" if point.on_frontier else "",
        ]
        for point in capacity.points
    ]  # fmt: skip


def capacity_lines(capacity: Capacity) -> Iterator[str]:
    """What each server runs on, and what *best* means."""
    for point in {point.server: point for point in capacity.points}.values():
        parts = [] if point.gpus is None else [plural(point.gpus, "GPU")]
        parts += [] if point.usd_per_hour is None else [f"${point.usd_per_hour:g} an hour"]
        if parts:
            yield f"{point.server}: {', '.join(parts)}"
    yield "best: no other load point has both more speed for a user and more work of the server"


def _several(capacity: Capacity) -> bool:
    return len({point.server for point in capacity.points}) > 1


def is_shown(data: LoadData) -> bool:
    """Whether work is weighed against speed: of several servers, or of one with a cost or GPUs."""
    capacity = data.capacity
    if capacity is None:
        return False
    return capacity.per != "server" or _several(capacity)


def _number(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def _interval(ci: Sequence[float] | None) -> str:
    return DASH if ci is None else f"[{', '.join(_number(end) for end in ci)}]"
