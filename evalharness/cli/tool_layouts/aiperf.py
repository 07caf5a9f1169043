"""The summary file of ``aiperf profile`` (``profile_export_aiperf.json``).

Fields and formulas: ``aiperf/common/models/export_models.py`` and ``aiperf/metrics/types/`` of
aiperf; ``docs/load-exports.md`` says what each field is here.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np

from evalharness.analysis.data.encode import Floats
from evalharness.cli.tool_layouts.point_requests import PointRequests, per_second, total

_PERCENTILES = (1, 5, 10, 25, 50, 75, 90, 95, 99)


def aiperf_result(requests: PointRequests) -> dict[str, Any]:
    """One load point as one summary; metrics that are unknown are left out, as aiperf does."""
    answered, span = sum(requests.is_answered), requests.span_s
    output = total(requests.answered(requests.output_tokens))
    prompt = total(requests.answered(requests.prompt_tokens))
    tpot = requests.tpot_s
    second = np.array([c[1] - c[0] for c in _answered_chunks(requests) if len(c) > 1])
    reasoning = requests.answered(requests.reasoning_tokens)
    goodput = requests.point.goodput
    metrics = {
        "request_throughput": _single("requests/sec", per_second(answered, span)),
        "request_latency": _summary("ms", 1000 * requests.answered(requests.last_content_s)),
        "request_count": _single("requests", answered),
        "time_to_first_token": _summary("ms", 1000 * requests.answered(requests.ttft_s)),
        "time_to_second_token": _summary("ms", 1000 * second),
        "inter_token_latency": _summary("ms", 1000 * tpot),
        "output_token_throughput": _single("tokens/sec", per_second(output, span)),
        "output_token_throughput_per_user": _summary("tokens/sec/user", _inverse(tpot)),
        "output_sequence_length": _summary("tokens", requests.answered(requests.output_tokens)),
        "input_sequence_length": _summary("tokens", requests.answered(requests.prompt_tokens)),
        "goodput": _single("requests/sec", None if goodput is None else goodput.per_s),
        "good_request_count": _single("requests", None if goodput is None else goodput.good),
        "reasoning_token_count": _summary("tokens", reasoning),
        "inter_chunk_latency": _summary("ms", 1000 * requests.gaps_s),
        "benchmark_duration": _single("sec", span),
        "total_isl": _single("tokens", prompt),
        "total_osl": _single("tokens", output),
        "error_request_count": _single("requests", requests.failed),
    }
    begun, ended = _instants(requests)
    return {
        **{name: metric for name, metric in metrics.items() if metric is not None},
        "was_cancelled": False,
        "start_time": begun,
        "end_time": ended,
    }


def _answered_chunks(requests: PointRequests) -> list[Floats]:
    return [c for c, ok in zip(requests.chunks, requests.is_answered, strict=True) if ok]


def _inverse(values: Floats) -> Floats:
    return 1 / values[values > 0]


def _instants(requests: PointRequests) -> tuple[str | None, str | None]:
    """When the first request was sent and the last answer came, in ISO 8601."""
    ends = requests.answered(requests.sent_s + requests.last_content_s)
    if not len(ends):
        return None, None
    shown = [
        datetime.fromtimestamp(float(at), UTC).isoformat()
        for at in (np.nanmin(requests.sent_s), np.nanmax(ends))
    ]
    return shown[0], shown[1]


def _single(unit: str, value: float | None) -> dict[str, Any] | None:
    return None if value is None else {"unit": unit, "avg": value}


def _summary(unit: str, values: Floats) -> dict[str, Any] | None:
    known = values[~np.isnan(values)]
    if not len(known):
        return None
    shares = dict(zip(_PERCENTILES, np.percentile(known, _PERCENTILES).tolist(), strict=True))
    return {
        "unit": unit,
        "avg": float(known.mean()),
        **{f"p{share}": value for share, value in shares.items()},
        "min": float(known.min()),
        "max": float(known.max()),
        "std": float(known.std()),
    }
