"""The names that servers have for the same figures.

Sources: the documentation of production metrics of vLLM (docs.vllm.ai, usage/metrics) and SGLang
(docs.sglang.ai, production_metrics), Text Generation Inference (metrics), the README of llama.cpp's
server, and the field identifiers of NVIDIA's DCGM.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Unit = Literal["requests", "share", "tokens/s", "per s", "%", "MiB", "W"]


class KnownMetric(NamedTuple):
    """A figure of servers.

    Attributes:
        title: what it is, in words.
        unit: of the figure; of a counter that of its rate.
        names: what servers call it; the first that is there counts.
        over_labels: how samples with other labels (models, GPUs) are put together.
        is_counter: it only grows, but for restarts; its rate is the figure.
    """

    title: str
    unit: Unit
    names: tuple[str, ...]
    over_labels: Literal["sum", "mean"] = "sum"
    is_counter: bool = False


KNOWN: dict[str, KnownMetric] = {
    "running": KnownMetric(
        "requests running", "requests",
        ("vllm:num_requests_running", "sglang:num_running_reqs", "tgi_batch_current_size",
         "llamacpp:requests_processing"),
    ),
    "waiting": KnownMetric(
        "requests waiting", "requests",
        ("vllm:num_requests_waiting", "sglang:num_queue_reqs", "tgi_queue_size",
         "llamacpp:requests_deferred"),
    ),
    "kv_cache": KnownMetric(
        "KV cache in use", "share",
        ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc", "sglang:token_usage",
         "llamacpp:kv_cache_usage_ratio"),
        "mean",
    ),
    "preemptions": KnownMetric(
        "preemptions", "per s", ("vllm:num_preemptions_total",), is_counter=True
    ),
    "prefix_queries": KnownMetric(
        "prompt tokens looked up in the prefix cache", "tokens/s",
        ("vllm:prefix_cache_queries_total", "vllm:gpu_prefix_cache_queries_total"),
        is_counter=True,
    ),
    "prefix_hits": KnownMetric(
        "of them found", "tokens/s",
        ("vllm:prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits_total",
         "sglang:cached_tokens_total"),
        is_counter=True,
    ),
    "prompt_tokens": KnownMetric(
        "prompt tokens", "tokens/s",
        ("vllm:prompt_tokens_total", "sglang:prompt_tokens_total", "llamacpp:prompt_tokens_total"),
        is_counter=True,
    ),
    "output_tokens": KnownMetric(
        "output tokens", "tokens/s",
        ("vllm:generation_tokens_total", "sglang:generation_tokens_total",
         "llamacpp:tokens_predicted_total"),
        is_counter=True,
    ),
    "gpu": KnownMetric("GPU busy", "%", ("DCGM_FI_DEV_GPU_UTIL",), "mean"),
    "gpu_memory": KnownMetric("GPU memory in use", "MiB", ("DCGM_FI_DEV_FB_USED",)),
    "gpu_power": KnownMetric("GPU power", "W", ("DCGM_FI_DEV_POWER_USAGE",)),
}  # fmt: skip
