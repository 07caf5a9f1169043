"""Distributions of latency, tokens and agreement by setting, and the time line of the run.

Their size does not grow with the run: at most :data:`POINTS` points a curve.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.data.cell_means import cell_means
from evalharness.analysis.data.encode import Floats, narrow
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.json_values import interval, number
from evalharness.analysis.data.metrics import AMOUNT_METRICS
from evalharness.analysis.data.statuses import ERROR, TRUNCATED

POINTS = 101
BINS = 48  # of the time line
_SPREAD = (0.05, 0.25, 0.5, 0.75, 0.95)
_DIGITS = 4  # agreement values of prompts are counted to four digits


def distributions(frame: RunFrame, *, seed: int = 0) -> list[dict[str, Any]]:
    """Describe the distributions of each setting.

    Returns:
        One a setting, in the frame's order, null or empty where nothing is known:

        * ``latency_s``, ``ttft_s``: ``{"n", "ecdf"}`` with ``ecdf`` points ``[seconds, share at
          or below]``, every value where there are few, else one a percentile;
        * ``completion_tokens``: ``{"n", "p5", "p25", "p50", "p75", "p95"}``;
        * ``agreement``, ``agreement_answer``: ``[value, prompts]``, ascending;
        * ``means``: by metric the mean over prompts ``{"mean", "ci95", "n"}``, errors left out,
          as the comparisons use it.

    """
    settings = [frame.rows_of(s) for s in range(len(frame.setting_ids))]

    def each(name: str, describe: Callable[[Floats], dict[str, Any]]) -> list[dict[str, Any]]:
        values = frame.usable_values(name)
        return [describe(values[rows]) for rows in settings]

    latency, ttft = each("latency_s", ecdf), each("ttft_s", ecdf)
    tokens = each("completion_tokens", _spread)
    prompts = {
        name: cell_means(frame, name) for name in ("agreement", "agreement_answer", *AMOUNT_METRICS)
    }
    out: list[dict[str, Any]] = []
    for s, setting_id in enumerate(frame.setting_ids):
        out.append(
            {
                "setting_id": setting_id,
                "latency_s": latency[s],
                "ttft_s": ttft[s],
                "completion_tokens": tokens[s],
                "agreement": _tally(prompts["agreement"][:, s]),
                "agreement_answer": _tally(prompts["agreement_answer"][:, s]),
                "means": {m: _mean(frame, prompts[m][:, s], seed) for m in AMOUNT_METRICS},
            }
        )
    return out


def ecdf(values: Floats) -> dict[str, Any]:
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
    return {"n": n, "ecdf": points}


def timeline(frame: RunFrame) -> dict[str, Any] | None:
    """Describe the run over time: trials, errors, truncations and latency by sending time.

    Returns:
        ``start`` (seconds since the epoch), ``bin_s`` (width in seconds) and ``bins``: ``at_s``
        (seconds after the start), ``trials``, ``errors``, ``truncated``, ``latency_p50_s`` (of
        delivered answers, null without any) and ``in_flight`` (mean, null unknown). Empty bins are
        pauses and are not left out. None when no sending time is known.

    """
    sent = frame.values("sent_at")
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
        {
            "at_s": index * width,
            "trials": len(bin_rows),
            "errors": int(np.count_nonzero(frame.status[bin_rows] == ERROR)),
            "truncated": int(np.count_nonzero(frame.status[bin_rows] == TRUNCATED)),
            "latency_p50_s": medians[index],
            "in_flight": _average(in_flight[bin_rows]),
        }
        for index, bin_rows in enumerate(rows)
    ]
    return {"start": start, "bin_s": width, "bins": bins}


def _spread(values: Floats) -> dict[str, Any]:
    known = values[np.isfinite(values)]
    names = [f"p{round(100 * q)}" for q in _SPREAD]
    if not len(known):
        return {"n": 0, **dict.fromkeys(names)}
    ends = np.quantile(known, _SPREAD).tolist()
    return {"n": len(known), **dict(zip(names, ends, strict=True))}


def _tally(values: Floats) -> list[list[float]]:
    distinct, counts = np.unique(np.round(values[np.isfinite(values)], _DIGITS), return_counts=True)
    return [[float(v), int(n)] for v, n in zip(distinct, counts, strict=True)]


def _mean(frame: RunFrame, values: Floats, seed: int) -> dict[str, Any]:
    known = values[np.isfinite(values)]
    ends = stats.mean_ci(values, clusters=frame.clusters, scale="real", seed=seed)
    return {"mean": _average(values), "ci95": interval(ends), "n": len(known)}


def _average(values: Floats) -> float | None:
    known = values[np.isfinite(values)]
    return number(known.mean()) if len(known) else None


def _median(values: Floats) -> float | None:
    known = values[np.isfinite(values)]
    return number(np.median(known)) if len(known) else None
