"""Distributions of latency, tokens and agreement by setting, and the time line of the run.

Their size does not grow with the run: at most :data:`POINTS` points a curve.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec
import numpy as np

from evalharness.analysis.data.batches import in_batch
from evalharness.analysis.data.cell_means import cell_means
from evalharness.analysis.data.encode import Floats, narrow
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.json_values import amount_interval, number
from evalharness.analysis.data.metrics import AMOUNT_METRICS
from evalharness.analysis.data.statuses import ERROR, TRUNCATED

T = TypeVar("T")

POINTS = 101
BINS = 48  # of the time line
_SPREAD = (0.05, 0.25, 0.5, 0.75, 0.95)
_DIGITS = 4  # agreement values of prompts are counted to four digits


class Ecdf(msgspec.Struct, frozen=True, kw_only=True):
    """An empirical distribution.

    Attributes:
        n: known values.
        ecdf: points ``[value, share at or below]``, ascending: every value where there are few,
            else one a percentile; empty without a value.
    """

    n: int
    ecdf: list[list[float]]


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """The spread of a figure over trials.

    Attributes:
        n: known values.
        p5, p25, p50, p75, p95: percentiles; null without a value.
    """

    n: int
    p5: float | None = None
    p25: float | None = None
    p50: float | None = None
    p75: float | None = None
    p95: float | None = None


class MeanOverPrompts(msgspec.Struct, frozen=True, kw_only=True):
    """The mean of a metric over prompts.

    Attributes:
        mean: in the unit of the metric; null where no prompt has a value.
        ci95: its 95 % interval ``[low, high]``; null where undefined.
        n: prompts with a value.
    """

    mean: float | None
    ci95: list[float] | None
    n: int


class Distribution(msgspec.Struct, frozen=True, kw_only=True):
    """The distributions of one setting.

    Attributes:
        setting_id: the setting.
        latency_s: seconds from sending a request to its complete answer.
        ttft_s: seconds from sending a request to the first token of its answer.
        completion_tokens: tokens of an output.
        agreement: ``[pairwise agreement, prompts that have it]``, ascending.
        agreement_answer: the same of the extracted answers; empty where there are none.
        means: by metric its mean over prompts, errors left out, as the comparisons use it.
    """

    setting_id: str
    latency_s: Ecdf
    ttft_s: Ecdf
    completion_tokens: Spread
    agreement: list[tuple[float, int]]
    agreement_answer: list[tuple[float, int]]
    means: dict[str, MeanOverPrompts]


class TimelineBin(msgspec.Struct, frozen=True, kw_only=True):
    """The trials sent in one part of the run.

    Attributes:
        at_s: its beginning, seconds after the first request.
        trials: sent in it.
        errors: those of them that ended in an error.
        truncated: those of them whose output was cut.
        latency_p50_s: median latency of the delivered answers, seconds; null without any.
        in_flight: mean number of requests in flight; null where unknown.
    """

    at_s: float
    trials: int
    errors: int
    truncated: int
    latency_p50_s: float | None
    in_flight: float | None


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """The run over time, by when its trials were sent.

    Attributes:
        start: when the first request was sent, seconds since the epoch.
        bin_s: seconds of a bin.
        bins: of equal length; empty ones are pauses.
    """

    start: float
    bin_s: float
    bins: list[TimelineBin]

    @property
    def length_s(self) -> float:
        """The time in which requests were sent, in seconds."""
        return self.bin_s * len(self.bins)


def distributions(frame: RunFrame) -> list[Distribution]:
    """Describe the distributions of each setting, in the frame's order."""
    settings = [frame.rows_of(s) for s in range(len(frame.setting_ids))]

    def each(name: str, describe: Callable[[Floats], T]) -> list[T]:
        values = frame.usable_values(name)
        return [describe(values[rows]) for rows in settings]

    latency, ttft = each("latency_s", ecdf), each("ttft_s", ecdf)
    tokens = each("completion_tokens", _spread)
    prompts = {
        name: cell_means(frame, name) for name in ("agreement", "agreement_answer", *AMOUNT_METRICS)
    }
    return [
        Distribution(
            setting_id=setting_id,
            latency_s=latency[s],
            ttft_s=ttft[s],
            completion_tokens=tokens[s],
            agreement=_tally(prompts["agreement"][:, s]),
            agreement_answer=_tally(prompts["agreement_answer"][:, s]),
            means={m: _mean(frame, prompts[m][:, s]) for m in AMOUNT_METRICS},
        )
        for s, setting_id in enumerate(frame.setting_ids)
    ]


def ecdf(values: Floats) -> Ecdf:
    """Return the empirical distribution of the known values, in at most :data:`POINTS` points."""
    known = np.sort(values[np.isfinite(values)])
    n = len(known)
    if n <= POINTS:
        points = [[float(v), (i + 1) / n] for i, v in enumerate(known)]
    else:
        shares = np.linspace(0.0, 1.0, POINTS)
        points = [
            [float(v), float(q)]
            for v, q in zip(np.quantile(known, shares), shares, strict=True)
        ]  # fmt: skip
    return Ecdf(n=n, ecdf=points)


def timeline(frame: RunFrame) -> Timeline | None:
    """Describe the run over time; None when no sending time is known.

    Requests in batches are left out: nobody knows when each was served.
    """
    sent = np.where(in_batch(frame), np.nan, frame.values("sent_at"))
    known = np.isfinite(sent)
    if not known.any():
        return None
    start, end = float(sent[known].min()), float(sent[known].max())
    width = max((end - start) / BINS, 0.001)
    bin_of = np.where(known, sent, start)
    del sent
    bin_of -= start
    bin_of /= width
    bin_of = np.where(known, np.minimum(bin_of, BINS - 1, out=bin_of), BINS).astype(np.uint8)
    order = narrow(np.argsort(bin_of, kind="stable"))
    ends = np.cumsum(np.bincount(bin_of, minlength=BINS)[:BINS])
    rows = np.split(order, ends)[:BINS]
    latency = frame.usable_values("latency_s")
    medians = [_median(latency[bin_rows]) for bin_rows in rows]
    del latency
    in_flight = frame.values("in_flight")
    bins = [
        TimelineBin(
            at_s=index * width,
            trials=len(bin_rows),
            errors=int(np.count_nonzero(frame.status[bin_rows] == ERROR)),
            truncated=int(np.count_nonzero(frame.status[bin_rows] == TRUNCATED)),
            latency_p50_s=medians[index],
            in_flight=_average(in_flight[bin_rows]),
        )
        for index, bin_rows in enumerate(rows)
    ]
    return Timeline(start=start, bin_s=width, bins=bins)


def _spread(values: Floats) -> Spread:
    known = values[np.isfinite(values)]
    if not len(known):
        return Spread(n=0)
    p5, p25, p50, p75, p95 = np.quantile(known, _SPREAD).tolist()
    return Spread(n=len(known), p5=p5, p25=p25, p50=p50, p75=p75, p95=p95)


def _tally(values: Floats) -> list[tuple[float, int]]:
    distinct, counts = np.unique(np.round(values[np.isfinite(values)], _DIGITS), return_counts=True)
    return [(float(v), int(n)) for v, n in zip(distinct, counts, strict=True)]


def _mean(frame: RunFrame, values: Floats) -> MeanOverPrompts:
    known = values[np.isfinite(values)]
    ends = amount_interval(values, frame.clusters)
    return MeanOverPrompts(mean=_average(values), ci95=ends, n=len(known))


def _average(values: Floats) -> float | None:
    known = values[np.isfinite(values)]
    return number(known.mean()) if len(known) else None


def _median(values: Floats) -> float | None:
    known = values[np.isfinite(values)]
    return number(np.median(known)) if len(known) else None
