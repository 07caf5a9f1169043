"""Time metrics of single requests of a benchmark, and their summaries.

Each formula is in the docstring of the function that computes it. All times are seconds; NaN is
unknown. Only delivered answers have times: errors, timeouts and rate-limited requests are counted,
never averaged.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from evalharness.analysis.data import encode
from evalharness.analysis.data.encode import Bools, Floats, Ints
from evalharness.analysis.load.summary import (
    DependentGroups,
    MetricSummary,
    TimesByOrigin,
    summarize,
)

if TYPE_CHECKING:
    import pyarrow as pa

#: The record columns that the metrics are computed from.
COLUMNS = (
    "trial_id", "setting_id", "status", "scheduled_at", "sent_at", "queue_s", "ttft_s", "ttfo_s",
    "last_content_s", "latency_s", "completion_tokens", "chunk_times_s", "attempts",
    "measurement", "phase", "prompt_id",
)  # fmt: skip


class DeliveredRequests(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """The delivered requests of a measurement as arrays, one entry each, NaN where unknown.

    Attributes:
        setting: index into the measurement's settings.
        prompt: its number; requests of one prompt, or of one cluster of them, have the same.
        sent_s: when it was sent, seconds from the anchor.
        wait_s: from being scheduled to being sent; of a retried request, to its last sending.
        ttft_s: to the first content or reasoning token (not a chunk with only a role). Streamed.
        ttfo_s: to the first token that is not reasoning. Streamed.
        end_s: to the last content chunk; to the complete response where it was not streamed.
        tokens: completion tokens as the server's usage counts them, reasoning included.
        tpot_s: (last content − first token) / (tokens − 1), from two tokens on. Streamed, and in
            more than one piece.
        chunks: arrivals of the content chunks of each request, seconds from sending.
    """

    setting: Ints
    prompt: Ints
    sent_s: Floats
    wait_s: Floats
    ttft_s: Floats
    ttfo_s: Floats
    end_s: Floats
    tokens: Floats
    tpot_s: Floats
    chunks: list[Floats]

    @property
    def tokens_per_s(self) -> Floats:
        """Output tokens per second of one stream, after the first: 1 / TPOT."""
        return 1.0 / self.tpot_s

    def inter_chunk_s(self, rows: Bools | None = None) -> tuple[Floats, Ints]:
        """Gaps between consecutive content chunks, of all requests together, and their requests.

        A chunk may carry several tokens or none, so this is inter-*chunk* latency; only TPOT is
        per token. The request of a gap is its place among the selected rows.
        """
        selected = self.chunks if rows is None else [
            chunks for chunks, keep in zip(self.chunks, rows.tolist(), strict=True) if keep
        ]  # fmt: skip
        gaps = [np.diff(chunks) for chunks in selected]
        if not gaps:
            return np.empty(0), np.empty(0, np.int64)
        return np.concatenate(gaps), np.repeat(np.arange(len(gaps)), [len(g) for g in gaps])


def delivered_requests(
    delivered: pa.Table,
    settings: list[str],
    anchor_s: float,
    first_due: dict[str, float],
    clusters: Mapping[str, str] = MappingProxyType({}),
) -> DeliveredRequests:
    """The metrics of delivered records.

    Args:
        delivered: records with the columns of :data:`COLUMNS`.
        settings: setting ids of the measurement.
        anchor_s: the schedule's zero, seconds since the epoch.
        first_due: of trials that were retried, seconds since the epoch at which the first attempt
            was due.
        clusters: of prompts that have one, by their ids.
    """
    values = {
        name: encode.to_floats(delivered[name])
        for name in ("queue_s", "ttft_s", "ttfo_s", "last_content_s", "latency_s", "sent_at",
                     "completion_tokens")
    }  # fmt: skip
    wait = values["queue_s"]
    if first_due:
        ids: list[Any] = delivered["trial_id"].to_pylist()
        due = np.array([first_due.get(trial, np.nan) for trial in ids], np.float64)
        wait = np.where(np.isnan(due), wait, values["sent_at"] - due)
    first, last = values["ttft_s"], values["last_content_s"]
    tokens = values["completion_tokens"]
    with np.errstate(divide="ignore", invalid="ignore"):
        # An answer that came in one piece tells nothing of the time between its tokens.
        tpot = np.where((tokens >= 2) & (last > first), (last - first) / (tokens - 1), np.nan)
    codes, _ = encode.encode_known(delivered["setting_id"], settings)
    times: list[Any] = delivered["chunk_times_s"].to_pylist()
    return DeliveredRequests(
        setting=codes,
        prompt=prompt_units(delivered["prompt_id"], clusters),
        sent_s=values["sent_at"] - anchor_s,
        wait_s=wait,
        ttft_s=first,
        ttfo_s=values["ttfo_s"],
        end_s=np.where(np.isnan(last), values["latency_s"], last),
        tokens=tokens,
        tpot_s=tpot,
        chunks=[np.asarray(t or [], np.float64) for t in times],
    )


def prompt_units(prompt_ids: Any, clusters: Mapping[str, str]) -> Ints:
    """The number of each request's prompt, or of its cluster where it has one."""
    codes, names = encode.encode_known(prompt_ids, [])
    if not clusters:
        return codes
    numbers: dict[tuple[bool, str], int] = {}
    units = [
        numbers.setdefault((name in clusters, clusters.get(name, name)), len(numbers))
        for name in names
    ]
    return np.array(units, np.int64)[codes]


class TimeMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """The times of delivered requests; errors are counted elsewhere, never averaged.

    Attributes:
        ttft_s: seconds to the first content or reasoning token. Streamed.
        ttfo_s: seconds to the first token that is not reasoning. Streamed.
        latency_s: seconds to the last content chunk; to the complete response where it was not
            streamed.
        tpot_s: (last content − first token) / (tokens − 1) in seconds, from two tokens on.
            Streamed, and in more than one piece.
        inter_chunk_s: seconds between consecutive content chunks, of all requests together; a
            chunk may carry several tokens or none.
        tokens_per_s: output tokens per second of one stream after the first: 1 / TPOT.
        completion_tokens: tokens of an answer, by the server's usage, reasoning included.
    """

    ttft_s: TimesByOrigin
    ttfo_s: TimesByOrigin
    latency_s: TimesByOrigin
    tpot_s: MetricSummary
    inter_chunk_s: MetricSummary
    tokens_per_s: MetricSummary
    completion_tokens: MetricSummary


class Goodput(msgspec.Struct, frozen=True, kw_only=True):
    """How many requests met all limits of the SLO.

    Attributes:
        slo: the limits in seconds, by name: ``ttft_s``, ``tpot_s``, ``latency_s``.
        share: requests that met all limits / all measured requests that were due, so errors,
            timeouts and requests never sent stay in the denominator. TTFT and latency count from
            the scheduled time. Null where none was due.
        share_sent: the same, with TTFT and latency counted from sending.
        per_s: requests per second that met all limits; null where the load was never held.
        good: requests that met all limits.
        of: measured requests that were due.
        ci95: 95 % interval of the share; the prompt or one of 20 stretches of time is taken as
            independent, whichever makes it wider. Null where it is undefined, and where requests
            that were due left no record.
        unjudged: delivered answers that a limit cannot be applied to (for TPOT: no usage, or all
            tokens in one piece): each is a miss. With a single token there is no time per further
            token, which meets any limit.
    """

    slo: dict[str, float]
    share: float | None
    share_sent: float | None
    per_s: float | None
    good: int
    of: int
    unjudged: int
    ci95: list[float] | None = None


def time_metrics(requests: DeliveredRequests, rows: Bools | None = None) -> TimeMetrics:
    """All time metrics of some requests (None: of all)."""
    keep = np.ones(len(requests.setting), np.bool_) if rows is None else rows
    wait = requests.wait_s[keep]
    groups = DependentGroups.of(requests.sent_s[keep], requests.prompt[keep])
    gaps, request = requests.inter_chunk_s(keep)

    def by_origin(values: Floats) -> TimesByOrigin:
        return TimesByOrigin(
            sent=summarize(values, groups), scheduled=summarize(values + wait, groups)
        )

    return TimeMetrics(
        ttft_s=by_origin(requests.ttft_s[keep]),
        ttfo_s=by_origin(requests.ttfo_s[keep]),
        latency_s=by_origin(requests.end_s[keep]),
        tpot_s=summarize(requests.tpot_s[keep], groups),
        inter_chunk_s=summarize(gaps, groups.take(request)),
        tokens_per_s=summarize(requests.tokens_per_s[keep], groups),
        completion_tokens=summarize(requests.tokens[keep], groups),
    )


def goodput(
    requests: DeliveredRequests, slo: dict[str, float], total: int, window_s: float | None
) -> Goodput | None:
    """How many requests met all limits of the SLO; None without one.

    Args:
        requests: the delivered requests.
        slo: the limits in seconds, by name.
        total: measured requests that were due.
        window_s: seconds for which the load was held; None when it never was.
    """
    if not slo:
        return None
    single = requests.tokens == 1
    tpot = np.where(single, 0.0, requests.tpot_s)
    met = [meets_slo(requests, slo, waited=waited) for waited in (True, False)]
    values = {"ttft_s": requests.ttft_s, "tpot_s": tpot, "latency_s": requests.end_s}
    unknown = np.zeros(len(single), np.bool_)
    for name in slo:
        unknown |= np.isnan(values[name])
    good = int(met[0].sum())
    return Goodput(
        slo=slo,
        share=good / total if total else None,
        share_sent=int(met[1].sum()) / total if total else None,
        per_s=good / window_s if window_s else None,
        good=good,
        of=total,
        unjudged=int(unknown.sum()),
    )


def meets_slo(requests: DeliveredRequests, slo: dict[str, float], *, waited: bool = True) -> Bools:
    """Which requests met every limit; ``waited`` counts from the schedule, else from sending."""
    wait = requests.wait_s if waited else np.zeros(len(requests.wait_s))
    values = {
        "ttft_s": requests.ttft_s + wait,
        "tpot_s": np.where(requests.tokens == 1, 0.0, requests.tpot_s),
        "latency_s": requests.end_s + wait,
    }
    good = np.ones(len(wait), np.bool_)
    for name, limit in slo.items():
        good &= values[name] <= limit  # NaN is no pass
    return good
