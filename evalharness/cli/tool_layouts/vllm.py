"""The result file of ``vllm bench serve --save-result --save-detailed`` (backend ``openai-chat``).

Fields and formulas: ``vllm/benchmarks/serve.py`` of vLLM, ``calculate_metrics`` and ``benchmark``;
``docs/load-exports.md`` says what each field is here.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np

from evalharness.analysis.data.encode import Floats
from evalharness.cli.tool_layouts.point_requests import PointRequests, number, per_second, total


def vllm_result(requests: PointRequests) -> dict[str, Any]:
    """One load point as one result; unknown is null."""
    point, answered = requests.point, sum(requests.is_answered)
    prompt = total(requests.answered(requests.prompt_tokens))
    output = total(requests.answered(requests.output_tokens))
    span = requests.span_s
    both = None if prompt is None or output is None else prompt + output
    return {
        **_setup(requests),
        "duration": span,
        "completed": answered,
        "failed": requests.failed,
        "total_input_tokens": None if prompt is None else int(prompt),
        "total_output_tokens": None if output is None else int(output),
        "request_throughput": per_second(answered, span),
        "request_goodput": None if point.goodput is None else point.goodput.per_s,
        "output_throughput": per_second(output, span),
        "total_token_throughput": per_second(both, span),
        **_single_requests(requests),
        "max_output_tokens_per_s": None,
        "max_concurrent_requests": None,
        **_metric("ttft", requests.answered(requests.ttft_s)),
        **_metric("tpot", requests.tpot_s),
        **_metric("itl", requests.gaps_s),
        **_metric("e2el", requests.answered(requests.last_content_s)),
    }


def _setup(requests: PointRequests) -> dict[str, Any]:
    point = requests.point
    load = point.load
    closed = load.get("arrival") == "closed"
    begun = requests.sent_s[0] if len(requests.sent_s) else None
    return {
        "date": None if begun is None else f"{datetime.fromtimestamp(begun, UTC):%Y%m%d-%H%M%S}",
        "endpoint_type": "openai-chat",
        "backend": "openai-chat",
        "label": point.label,
        "model_id": point.parameters[0].model,
        "tokenizer_id": None,
        "num_prompts": len(requests.is_answered),
        "request_rate": "inf" if closed else load.get("rate"),
        "burstiness": None if closed else load.get("burstiness", 1.0),
        "max_concurrency": load.get("concurrency"),
    }


def _single_requests(requests: PointRequests) -> dict[str, Any]:
    """One entry a request, in the order of sending; of failed ones 0 and empty, as vLLM writes."""
    entries = zip(
        requests.is_answered, requests.prompt_tokens, requests.output_tokens, requests.ttft_s,
        requests.chunks, requests.texts, requests.errors, strict=True,
    )  # fmt: skip
    columns: dict[str, list[Any]] = {
        name: []
        for name in ("input_lens", "output_lens", "ttfts", "itls", "generated_texts", "errors")
    }
    for is_answered, prompt, output, ttft, chunks, text, error in entries:
        columns["input_lens"].append(number(prompt))
        columns["output_lens"].append(number(output) if is_answered else 0)
        columns["ttfts"].append(number(ttft) if is_answered else 0.0)
        columns["itls"].append(np.diff(chunks).tolist() if is_answered else [])
        columns["generated_texts"].append(text or "")
        columns["errors"].append("" if is_answered else error or "")
    return columns


def _metric(name: str, values_s: Floats) -> dict[str, float | None]:
    """Mean, median, standard deviation and 99th percentile in milliseconds; null without values."""
    known = 1000 * values_s[~np.isnan(values_s)]
    if not len(known):
        return {f"{kind}_{name}_ms": None for kind in ("mean", "median", "std", "p99")}
    return {
        f"mean_{name}_ms": float(known.mean()),
        f"median_{name}_ms": float(np.median(known)),
        f"std_{name}_ms": float(known.std()),
        f"p99_{name}_ms": float(np.percentile(known, 99)),
    }
