"""Load points in the layouts of other tools, from the streams of docs/latency-formulas.md."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import evalharness as package
from tests.cli.conftest import CommandOutput

RUN = (
    "run", "provider=emulator", "sweep=none", "scoring=none", "params.stream=true",
    "provider.emulator.ttft_ms=20", "provider.emulator.itl_ms=3", "dataset.limit=4",
    "provider.emulator.error_rate=0.2", "load=closed", "sweep.load.concurrency=[1,2]",
    "load.requests=30", "load.warmup_requests=2", "load.slo.latency_s=5", "name=bench",
    # A busy machine makes a measurement invalid; these tests are about what is written.
    "load.max_delay_s=60", "load.min_rate_share=0.01",
)  # fmt: skip
# Every field of a result of `vllm bench serve --save-result --save-detailed`.
VLLM = {
    "date", "endpoint_type", "backend", "label", "model_id", "tokenizer_id", "num_prompts",
    "request_rate", "burstiness", "max_concurrency", "duration", "completed", "failed",
    "total_input_tokens", "total_output_tokens", "request_throughput", "request_goodput",
    "output_throughput", "total_token_throughput", "input_lens", "output_lens", "ttfts", "itls",
    "generated_texts", "errors", "max_output_tokens_per_s", "max_concurrent_requests",
    *(f"{kind}_{of}_ms" for of in ("ttft", "tpot", "itl", "e2el")
      for kind in ("mean", "median", "std", "p99")),
}  # fmt: skip


Command = Callable[..., CommandOutput]


def lines(outcome: CommandOutput) -> list[dict[str, Any]]:
    assert outcome.returncode == 0, outcome.stderr
    return [json.loads(line) for line in outcome.stdout.splitlines()]


def test_every_layout_has_its_fields_and_figures(in_process: Command, tmp_path: Path) -> None:
    done = in_process(*RUN)
    assert done.returncode == 1, done.stderr  # some requests failed, as they were told to
    records = package.load(tmp_path / "results" / "bench").records()
    first = records[(records["measurement"] == 1) & (records["phase"] == "measured")]
    answered = first[first["status"] != "error"].sort_values("sent_at")
    span = (answered["last_content_s"] + answered["sent_at"].astype("int64") / 1e9).max() - (
        first["sent_at"].min().value / 1e9
    )
    tpot = (answered["last_content_s"] - answered["ttft_s"]) / (answered["completion_tokens"] - 1)

    vllm, second = lines(in_process("export", "bench", "--format", "vllm"))
    assert vllm.keys() == VLLM
    assert (vllm["max_concurrency"], second["max_concurrency"]) == (1, 2)
    assert (vllm["completed"], vllm["failed"]) == (len(answered), len(first) - len(answered))
    assert vllm["duration"] == pytest.approx(span, abs=1e-5)
    assert vllm["request_throughput"] == pytest.approx(len(answered) / span, rel=1e-4)
    assert vllm["total_output_tokens"] == answered["completion_tokens"].sum()
    assert vllm["mean_ttft_ms"] == pytest.approx(1000 * answered["ttft_s"].mean())
    assert vllm["p99_tpot_ms"] == pytest.approx(1000 * np.percentile(tpot.dropna(), 99))
    assert vllm["median_e2el_ms"] == pytest.approx(1000 * answered["last_content_s"].median())
    gaps = np.concatenate([np.diff(times) for times in answered["chunk_times_s"]])
    assert vllm["std_itl_ms"] == pytest.approx(1000 * gaps.std())
    assert len(vllm["ttfts"]) == len(vllm["itls"]) == len(vllm["errors"]) == len(first)
    failed = [i for i, error in enumerate(vllm["errors"]) if error]
    assert len(failed) == vllm["failed"] > 0
    assert {vllm["output_lens"][i] for i in failed} == {0}

    aiperf, _ = lines(in_process("export", "bench", "--format", "aiperf"))
    assert aiperf["request_count"] == {"unit": "requests", "avg": len(answered)}
    assert aiperf["inter_token_latency"]["avg"] == pytest.approx(1000 * tpot.mean())
    assert aiperf["inter_chunk_latency"]["p50"] == pytest.approx(1000 * np.median(gaps))
    assert aiperf["error_request_count"]["avg"] == len(failed)
    assert aiperf["good_request_count"]["avg"] == len(answered)
    assert aiperf["request_latency"].keys() == {
        "unit", "avg", "min", "max", "std", *(f"p{q}" for q in (1, 5, 10, 25, 50, 75, 90, 95, 99))
    }  # fmt: skip

    report = lines(in_process("export", "bench", "--format", "guidellm"))[0]
    assert report["metadata"]["version"] == 2
    metrics = report["benchmarks"][0]["metrics"]
    assert len(report["benchmarks"]) == 2
    assert metrics["request_totals"]["errored"] == len(failed)
    tokens = answered["completion_tokens"]
    per_token = metrics["time_per_output_token_ms"]["successful"]
    # Weighted by tokens: the ratio of the sums.
    assert per_token["mean"] == pytest.approx(
        1000 * answered["last_content_s"].sum() / tokens.sum()
    )
    inter = metrics["inter_token_latency_ms"]["successful"]
    assert inter["count"] == (tokens - 1).sum()
    assert inter["mean"] == pytest.approx(np.average(1000 * tpot, weights=tokens - 1))


def test_what_cannot_be_written(in_process: Command, tmp_path: Path) -> None:
    assert in_process(*RUN[:3], "dataset.limit=1", "repeats=1", "name=batch").returncode == 0
    batch = in_process("export", "batch", "--format", "vllm")
    assert batch.returncode == 2
    assert "has no load points" in batch.stderr
    late = [each for each in RUN if not each.startswith(("load.m", "sweep.load", "name"))]
    made = in_process(*late, "load.max_delay_s=0.000000001", "load.requests=3", "name=late",
                       "load=constant", "load.rate=20")  # fmt: skip
    assert made.returncode == 1, made.stderr
    refused = in_process("export", "late", "--format", "guidellm", "--out", "x.json")
    assert refused.returncode == 2
    assert "of `late` the client made constant 20/s invalid" in refused.stderr
    assert not (tmp_path / "x.json").exists()
    assert in_process("export", "late", "--format", "guidellm", "--with-invalid").returncode == 0
    table = in_process("export", "late", "--format", "aiperf", "--table", "prompts")
    assert table.returncode == 2
    assert "is of load points" in table.stderr
    csv = in_process("export", "late", "--format", "csv", "--table", "load", "--with-invalid")
    assert csv.returncode == 2
    assert "a column `valid`" in csv.stderr
