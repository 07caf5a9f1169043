"""The report of ``guidellm benchmark`` (``benchmarks.json``, version 2): its figures.

Fields and formulas: ``src/guidellm/benchmark/schemas/metrics.py`` and
``src/guidellm/schemas/{statistics,base}.py`` of guidellm; ``docs/load-exports.md`` says what each
field is here. The arguments of guidellm's own command, which its report holds as well, are null:
guidellm itself does not read the file again, programs that read figures from it do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from evalharness.analysis.data.encode import Floats
from evalharness.cli.tool_layouts.point_requests import PointRequests

_SHARES = {
    "p001": 0.001, "p01": 0.01, "p05": 0.05, "p10": 0.1, "p25": 0.25, "p50": 0.5, "p75": 0.75,
    "p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999,
}  # fmt: skip


def guidellm_report(points: Sequence[PointRequests]) -> dict[str, Any]:
    """All load points as one report; unknown is null."""
    return {
        "metadata": {"version": 2, "guidellm_version": None},
        "config": None,
        "benchmarks": [_benchmark(requests) for requests in points],
    }


def _benchmark(requests: PointRequests) -> dict[str, Any]:
    point, answered = requests.point, requests.answered
    span = requests.span_s
    begun = None if span is None else float(np.nanmin(requests.sent_s))
    tokens = answered(requests.output_tokens)
    several = tokens > 1
    first_to_last = answered(requests.last_content_s) - answered(requests.ttft_s)
    with np.errstate(divide="ignore", invalid="ignore"):
        per_token = 1000 * answered(requests.last_content_s) / tokens
    counts = {
        "successful": sum(requests.is_answered), "errored": requests.failed, "incomplete": 0,
        "total": len(requests.is_answered),
    }  # fmt: skip
    return {
        "type_": "generative_benchmark",
        "config": {"strategy": dict(point.load)},
        "start_time": begun,
        "end_time": None if begun is None or span is None else begun + span,
        "duration": span,
        "metrics": {
            "request_totals": counts,
            "request_latency": _statuses(answered(requests.latency_s)),
            "prompt_token_count": _statuses(answered(requests.prompt_tokens)),
            "output_token_count": _statuses(tokens),
            "total_token_count": _statuses(answered(requests.prompt_tokens) + tokens),
            "time_to_first_token_ms": _statuses(1000 * answered(requests.ttft_s)),
            "time_to_first_output_token_ms": _statuses(1000 * answered(requests.ttfo_s)),
            "time_per_output_token_ms": _statuses(per_token, tokens),
            "inter_token_latency_ms": _statuses(
                1000 * first_to_last[several] / (tokens[several] - 1), tokens[several] - 1
            ),
            "requests_per_second": None,
            "request_concurrency": None,
            "prompt_tokens_per_second": None,
            "output_tokens_per_second": None,
            "tokens_per_second": None,
        },
        "requests": {"successful": [], "errored": [], "incomplete": [], "total": None},
    }


def _statuses(values: Floats, weights: Floats | None = None) -> dict[str, Any]:
    """The distribution of the requests with an answer; those that failed have none here."""
    return {
        "successful": _distribution(values, weights),
        "errored": None,
        "incomplete": None,
        "total": None,
    }


def _distribution(values: Floats, weights: Floats | None) -> dict[str, Any] | None:
    """Guidellm's figures of a distribution, its percentiles by cumulated weight."""
    weight = np.ones(len(values)) if weights is None else weights
    known = ~np.isnan(values) & ~np.isnan(weight) & (weight > 0)
    values, weight = values[known], weight[known]
    if not len(values):
        return None
    order = np.argsort(values, kind="stable")
    values, weight = values[order], weight[order]
    cumulated = np.cumsum(weight) / weight.sum()
    mean = float(np.average(values, weights=weight))
    variance = float(np.average((values - mean) ** 2, weights=weight))
    percentiles = {
        name: float(values[min(int(np.searchsorted(cumulated, share)), len(values) - 1)])
        for name, share in _SHARES.items()
    }
    return {
        "mean": mean,
        "median": percentiles["p50"],
        "mode": None,
        "variance": variance,
        "std_dev": variance**0.5,
        "min": float(values[0]),
        "max": float(values[-1]),
        "count": round(float(weight.sum())),
        "total_sum": float((values * weight).sum()),
        "percentiles": percentiles,
        "pdf": None,
    }
