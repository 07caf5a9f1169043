"""Figures of single servers, where several stand for one endpoint (``provider.base_urls``).

What is independent is the prompt (or its cluster) or one of 20 stretches of time, whichever gives
the wider interval: requests that a server works on at the same time resemble each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from evalharness.analysis.busy_time import BusyTime
from evalharness.analysis.data import encode
from evalharness.analysis.data.encode import Bools, Floats, Ints
from evalharness.analysis.load.load_metrics import prompt_units
from evalharness.analysis.load.measured_requests import rate_interval, share_interval
from evalharness.analysis.load.summary import DependentGroups, MetricSummary, summarize
from evalharness.analysis.replica_differences import (
    ComparedAnswers,
    ReplicaDifference,
    replica_differences,
)
from evalharness.records import Phase, Status

if TYPE_CHECKING:
    import pyarrow as pa

#: The record and attempt columns read here.
RECORD_COLUMNS = (
    "replica", "prompt_id", "setting_id", "status", "measurement", "phase", "sent_at", "ttft_s",
    "latency_s", "completion_tokens",
)  # fmt: skip
ATTEMPT_COLUMNS = (
    "replica", "prompt_id", "setting_id", "status", "measurement", "phase", "sent_at", "latency_s",
)  # fmt: skip


class ReplicaFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What was sent to one server at one load point, or in a whole batch evaluation.

    Warm-up and background traffic are in flight and give tokens; they are in no other figure.

    Attributes:
        replica: its address.
        point: the load point; the provider of several in batch evaluation, else null.
        measurement: of the load point; null in batch evaluation.
        attempts: HTTP attempts that went to it.
        share: of all attempts; null where there were none.
        share_ci95: its 95 % interval; null where undefined.
        failed: those of them that failed.
        failed_share: failed / attempts; null where there were none.
        failed_ci95: its 95 % interval; null where undefined.
        answers: trials whose final answer came from it.
        ttft_s: seconds to the first token of those, from sending. Streamed.
        latency_s: seconds to the complete answer.
        output_tokens_per_s: completion tokens of its answers per second of the load point's window,
            or in batch evaluation of the time in which any server had a request; null where the
            usage of an answer is unknown.
        output_tokens_ci95: its 95 % interval over 20 stretches of that time; null where undefined.
        in_flight: mean of its requests in flight over the same time, failed ones included; null
            where there is no such time.
        in_flight_ci95: its 95 % interval over those stretches; null where undefined.
    """

    replica: str
    point: str | None
    measurement: int | None
    attempts: int
    share: float | None
    share_ci95: list[float] | None
    failed: int
    failed_share: float | None
    failed_ci95: list[float] | None
    answers: int
    ttft_s: MetricSummary
    latency_s: MetricSummary
    output_tokens_per_s: float | None
    output_tokens_ci95: list[float] | None
    in_flight: float | None
    in_flight_ci95: list[float] | None


class ReplicaData(msgspec.Struct, frozen=True, kw_only=True):
    """The servers behind one name.

    Attributes:
        servers: a row a load point and server.
        differences: at each load point where some two differ, the two furthest apart. Two differ
            where the intervals of their medians at the level 1 - 0.05 / comparisons do not overlap,
            so that all servers being alike gives any difference in at most 5 % of runs.
        comparisons: pairs of servers with answers, over all load points.
    """

    servers: list[ReplicaFigures]
    differences: list[ReplicaDifference]
    comparisons: int


class ReplicaPoint(NamedTuple):
    """The requests that are described together.

    Attributes:
        records, attempts: with the columns above.
        label, measurement: as of :class:`ReplicaFigures`.
        window: its begin and end, seconds since the epoch; None: the time in which any server had
            a request.
    """

    records: pa.Table
    attempts: pa.Table
    label: str | None = None
    measurement: int | None = None
    window: tuple[float, float] | None = None


def replica_data(
    points: Sequence[ReplicaPoint], clusters: Mapping[str, str] = MappingProxyType({})
) -> ReplicaData | None:
    """The figures of every server at every load point; None where no attempt names one.

    Args:
        points: the load points.
        clusters: of prompts that have one, by their ids.
    """
    points = [
        point._replace(records=_routed(point.records), attempts=_routed(point.attempts))
        for point in points
    ]
    names = sorted({str(n) for p in points for n in p.attempts["replica"].unique().to_pylist()})
    if not names:
        return None
    servers: list[ReplicaFigures] = []
    answers: list[tuple[str | None, dict[str, ComparedAnswers]]] = []
    for point in points:
        by_name: dict[str, ComparedAnswers] = {}
        servers += _point_figures(point, names, clusters, by_name)
        answers.append((point.label, by_name))
    differences, comparisons = replica_differences(answers)
    return ReplicaData(servers=servers, differences=differences, comparisons=comparisons)


def _routed(table: pa.Table) -> pa.Table:
    """The rows that name a server: an attempt in doubt names none."""
    _, compute = encode.import_arrow()
    return table.filter(compute.is_valid(table["replica"]))


class _Attempts(NamedTuple):
    """The attempts of a point; ``counted`` are those that are measured, in ``groups``."""

    server: Ints
    sent_s: Floats
    end_s: Floats
    counted: Bools
    failed: Bools
    groups: DependentGroups

    @classmethod
    def of(cls, table: pa.Table, names: list[str], clusters: Mapping[str, str]) -> _Attempts:
        sent, counted = encode.to_floats(table["sent_at"]), _measured(table)
        units = prompt_units(table["prompt_id"], clusters)
        return cls(
            server=encode.encode_known(table["replica"], names)[0],
            sent_s=sent,
            # One that is in doubt has no end: its time in flight is unknown and counts as 0.
            end_s=sent + np.nan_to_num(encode.to_floats(table["latency_s"])),
            counted=counted,
            failed=_failed(table),
            groups=DependentGroups.of(sent[counted], units[counted]),
        )


class _Delivered(NamedTuple):
    """The answers of a point; ``counted`` are those that are measured."""

    server: Ints
    sent_s: Floats
    ttft_s: Floats
    latency_s: Floats
    tokens: Floats
    units: Ints
    counted: Bools

    @classmethod
    def of(cls, table: pa.Table, names: list[str], clusters: Mapping[str, str]) -> _Delivered:
        table = table.filter(~_failed(table))
        return cls(
            server=encode.encode_known(table["replica"], names)[0],
            sent_s=encode.to_floats(table["sent_at"]),
            ttft_s=encode.to_floats(table["ttft_s"]),
            latency_s=encode.to_floats(table["latency_s"]),
            tokens=encode.to_floats(table["completion_tokens"]),
            units=prompt_units(table["prompt_id"], clusters),
            counted=_measured(table),
        )


def _point_figures(
    point: ReplicaPoint,
    names: list[str],
    clusters: Mapping[str, str],
    by_name: dict[str, ComparedAnswers],
) -> list[ReplicaFigures]:
    """The figures of the servers at one point; ``by_name`` gets what medians are compared by."""
    attempts = _Attempts.of(point.attempts, names, clusters)
    answers = _Delivered.of(point.records, names, clusters)
    busy = (
        BusyTime.of(attempts.sent_s, attempts.end_s)
        if point.window is None
        else BusyTime.within(*point.window)
    )
    figures: list[ReplicaFigures] = []
    for code, name in enumerate(names):
        rows = np.flatnonzero(answers.counted & (answers.server == code))
        latency_s = answers.latency_s[rows]
        groups = DependentGroups.of(answers.sent_s[rows], answers.units[rows])
        if len(rows):
            by_name[name] = ComparedAnswers(latency_s, groups)
        given = answers.server == code
        end_s = answers.sent_s[given] + answers.latency_s[given]
        tokens = busy.rates(end_s, answers.tokens[given])
        sent = attempts.server == code
        in_flight = busy.in_flight(attempts.sent_s[sent], attempts.end_s[sent])
        figures.append(
            ReplicaFigures(
                replica=name,
                point=point.label,
                measurement=point.measurement,
                answers=len(rows),
                ttft_s=summarize(answers.ttft_s[rows], groups),
                latency_s=summarize(latency_s, groups),
                output_tokens_per_s=_mean(tokens),
                output_tokens_ci95=rate_interval(tokens),
                in_flight=_mean(in_flight),
                in_flight_ci95=rate_interval(in_flight),
                **_Counts.of(attempts, code)._asdict(),
            )
        )
    return figures


class _Counts(NamedTuple):
    """How many attempts went to a server, and how many of them failed."""

    attempts: int
    share: float | None
    share_ci95: list[float] | None
    failed: int
    failed_share: float | None
    failed_ci95: list[float] | None

    @classmethod
    def of(cls, attempts: _Attempts, code: int) -> _Counts:
        own = attempts.server[attempts.counted] == code
        failed = attempts.failed[attempts.counted][own]
        count = int(own.sum())
        return cls(
            attempts=count,
            share=count / len(own) if len(own) else None,
            share_ci95=share_interval(own, attempts.groups),
            failed=int(failed.sum()),
            failed_share=int(failed.sum()) / count if count else None,
            failed_ci95=share_interval(failed, attempts.groups.take(np.flatnonzero(own))),
        )


def _mean(stretches: Floats | None) -> float | None:
    """The stretches are equally long, so that their mean is that of the whole time."""
    return None if stretches is None else float(stretches.mean())


def _measured(table: pa.Table) -> Bools:
    return np.array(
        [phase in (None, Phase.MEASURED.value) for phase in table["phase"].to_pylist()], np.bool_
    )


def _failed(table: pa.Table) -> Bools:
    codes, _ = encode.encode_known(table["status"], [Status.ERROR.value])
    return codes == 0
