"""What stands behind the figures of a setting: distributions, small enough to draw.

Everything here has a size that does not grow with the run: at most :data:`POINTS` points a curve.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.data.encode import Floats, narrow
from evalharness.analysis.data.frame import Frame
from evalharness.analysis.data.json_values import interval, number
from evalharness.analysis.data.statuses import ERROR, TRUNCATED

POINTS = 101
BINS = 48  # of the time line
_MEANS = ("latency_s", "completion_tokens", "cost_usd")
_SPREAD = (0.05, 0.25, 0.5, 0.75, 0.95)
_DIGITS = 4  # agreement values of prompts are counted to four digits


def distributions(frame: Frame, *, seed: int = 0) -> list[dict[str, Any]]:
    """Describe the distributions behind every setting's row.

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
    prompts = {name: frame.per_prompt(name) for name in ("agreement", "agreement_answer", *_MEANS)}
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
                "means": {m: _mean(frame, prompts[m][:, s], seed) for m in _MEANS},
            }
        )
    return out


def ecdf(values: Floats) -> dict[str, Any]:
    """Return the empirical distribution of what is known, in at most :data:`POINTS` points."""
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


def timeline(frame: Frame) -> dict[str, Any] | None:
    """Follow the run over time: trials, errors, truncations and latency by when they were sent.

    Returns:
        ``start`` (seconds since the epoch), ``bin_s`` (width in seconds) and ``bins``: ``at_s``
        (seconds after the start), ``trials``, ``errors``, ``truncated``, ``latency_p50_s`` (of
        delivered answers, null without any) and ``in_flight`` (mean, null unknown). Empty bins are
        pauses, and stay in. None when no sending time is known.

    """
    sent = frame.values("sent_at")
    known = np.isfinite(sent)
    if not known.any():
        return None
    start, end = float(sent[known].min()), float(sent[known].max())
    width = max((end - start) / BINS, 0.001)
    place = np.where(known, sent, start)
    del sent
    place -= start
    place /= width
    place = np.where(known, np.minimum(place, BINS - 1, out=place), BINS).astype(np.uint8)
    order = narrow(np.argsort(place, kind="stable"))
    ends = np.cumsum(np.bincount(place, minlength=BINS)[:BINS])
    rows = np.split(order, ends)[:BINS]
    latency = frame.usable_values("latency_s")
    medians = [_median(latency[here]) for here in rows]
    del latency
    in_flight = frame.values("in_flight")
    bins = [
        {
            "at_s": index * width,
            "trials": len(here),
            "errors": int(np.count_nonzero(frame.status[here] == ERROR)),
            "truncated": int(np.count_nonzero(frame.status[here] == TRUNCATED)),
            "latency_p50_s": medians[index],
            "in_flight": _average(in_flight[here]),
        }
        for index, here in enumerate(rows)
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
    found, counts = np.unique(np.round(values[np.isfinite(values)], _DIGITS), return_counts=True)
    return [[float(v), int(n)] for v, n in zip(found, counts, strict=True)]


def _mean(frame: Frame, values: Floats, seed: int) -> dict[str, Any]:
    known = values[np.isfinite(values)]
    ends = stats.mean_ci(values, clusters=frame.clusters, scale="real", seed=seed)
    return {"mean": _average(values), "ci95": interval(ends), "n": len(known)}


def _average(values: Floats) -> float | None:
    known = values[np.isfinite(values)]
    return number(known.mean()) if len(known) else None


def _median(values: Floats) -> float | None:
    known = values[np.isfinite(values)]
    return number(np.median(known)) if len(known) else None
