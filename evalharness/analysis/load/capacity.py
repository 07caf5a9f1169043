"""What a server does for a user and for its cost at each load point, and which no other beats.

Speed for a user and work of the whole server pull in opposite directions: a higher load gives more
answers, each of them later. A point is on the frontier when no other is at least as good in both
and better in one (the Pareto set). Point estimates decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec

from evalharness.analysis.load.load_facts import LoadFacts
from evalharness.config.server import ServerConfig

Unit = Literal["tokens", "answers"]
Per = Literal["server", "gpu", "usd"]


class CapacityPoint(msgspec.Struct, frozen=True, kw_only=True):
    """One load point on one server.

    Attributes:
        measurement: its number.
        label: its name.
        server: the name of the server's provider, with its labels.
        gpus: how many it has; null unknown.
        usd_per_hour: what all of it costs, US dollars an hour; null unknown.
        user_speed: output tokens per second of one answer after its first token, 1 / median TPOT;
            where a point has none, answers per second of one user, 1 / median latency.
        work: output tokens per second of the server, or answers per second: of all of it, of one
            GPU, or per US dollar.
        work_ci95: its 95 % interval; null where it is not known.
        n: answers that it is of.
        on_frontier: whether no other point is at least as good in both and better in one.
    """

    measurement: int
    label: str
    server: str
    gpus: int | None
    usd_per_hour: float | None
    user_speed: float
    work: float
    work_ci95: list[float] | None
    n: int
    on_frontier: bool


class Capacity(msgspec.Struct, frozen=True, kw_only=True):
    """Load points by what they do for a user and for the cost of the server.

    Attributes:
        unit: ``tokens`` or ``answers``: what is counted.
        per: ``server``, ``gpu`` or ``usd``: what ``work`` is divided by.
        points: the valid load points, by server and rising work.
    """

    unit: Unit
    per: Per
    points: list[CapacityPoint]


class MeasuredServer(NamedTuple):
    """A load point with its name, and what it was measured on."""

    facts: LoadFacts
    label: str
    name: str
    server: ServerConfig


def server_name(name: str, server: ServerConfig) -> str:
    """A server by the name of its provider and its labels."""
    labels = ", ".join(f"{key}={value}" for key, value in server.labels.items())
    return f"{name} ({labels})" if labels else name


def capacity(points: Sequence[MeasuredServer]) -> Capacity | None:
    """Weigh load points against each other; None with fewer than two that are valid."""
    valid = [p for p in points if p.facts.valid and p.facts.state == "complete"]
    unit: Unit = "answers"
    if all(p.facts.tpot_s.p50 and p.facts.output_tokens_per_s for p in valid):
        unit = "tokens"
    per = _per([p.server for p in valid])
    rows = [row for p in valid if (row := _row(p, unit, per)) is not None]
    if len(rows) < 2:
        return None
    shown = [
        msgspec.structs.replace(row, on_frontier=not any(_beats(other, row) for other in rows))
        for row in rows
    ]
    shown.sort(key=lambda row: (row.server, row.work))
    return Capacity(unit=unit, per=per, points=shown)


def _per(servers: Sequence[ServerConfig]) -> Per:
    """By what all servers can be divided by: the price before GPUs."""
    if servers and all(server.usd_per_hour is not None for server in servers):
        return "usd"
    if servers and all(server.gpus is not None for server in servers):
        return "gpu"
    return "server"


def _row(point: MeasuredServer, unit: Unit, per: Per) -> CapacityPoint | None:
    facts, server = point.facts, point.server
    if unit == "tokens":
        time_s, work = facts.tpot_s.p50, facts.output_tokens_per_s
        ci = facts.output_tokens_ci95
    else:
        time_s, work = facts.latency_s.scheduled.p50, facts.throughput_per_s
        ci = facts.throughput_ci95
    if not time_s or work is None:
        return None
    divisor = {
        "server": 1.0,
        "gpu": float(server.gpus or 1),
        "usd": (server.usd_per_hour or 1.0) / 3600,
    }[per]
    return CapacityPoint(
        measurement=facts.measurement,
        label=point.label,
        server=server_name(point.name, server),
        gpus=server.gpus,
        usd_per_hour=server.usd_per_hour,
        user_speed=1 / time_s,
        work=work / divisor,
        work_ci95=None if ci is None else [end / divisor for end in ci],
        n=facts.completed,
        on_frontier=False,
    )


def _beats(point: CapacityPoint, other: CapacityPoint) -> bool:
    as_good = point.user_speed >= other.user_speed and point.work >= other.work
    return as_good and (point.user_speed > other.user_speed or point.work > other.work)
