"""What the benchmarks share: a sweep, a run as the command makes it, a bare loop beside it."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pyreqwest.client import ClientBuilder

from evalharness.cli.execution.connections import open_endpoints
from evalharness.cli.execution.prepare import PreparedRun
from evalharness.config.models import RunConfig, parse_run_config
from evalharness.process import session_clock
from evalharness.runner import Runner
from evalharness.runner.budget import RunBudget
from evalharness.runner.context import RunContext
from evalharness.runner.progress import LineProgress
from evalharness.store.folder.writer import RunStore
from evalharness.store.parts.verify import verify_folder

PROMPTS = 100
_CONTENT = b'"content":"'


def configuration(
    folder: Path, base_url: str, trials: int, concurrency: int, **more: Any
) -> RunConfig:
    """A sweep of two temperatures over a hundred prompts, as many repeats as it takes.

    ``more`` goes over the configuration; its ``params`` over the parameters.
    """
    path = folder / "prompts.jsonl"
    rows = [
        {"id": f"p{n}", "prompt": f"What is the capital of country {n}?"} for n in range(PROMPTS)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return parse_run_config(
        {
            "name": f"bench-{concurrency}",
            "provider": {"kind": "remote", "name": "canned", "model": "m", "base_url": base_url},
            "dataset": {"path": str(path)},
            "params": {"max_tokens": 64} | more.pop("params", {}),
            "sweep": {"temperature": [0, 1]},
            "repeats": max(1, trials // (2 * PROMPTS)),
            "limits": {"concurrency": concurrency},
        }
        | more
    )


class Took(NamedTuple):
    """Seconds until every trial was recorded and until all was sealed; processor time of both."""

    recorded_s: float
    sealed_s: float
    recorded_cpu_s: float
    cpu_s: float


async def durable(prepared: PreparedRun, root: Path) -> Took:
    """Run the plan as ``evalharness run`` does."""
    plan = prepared.plan
    store = RunStore(root, code_version="bench")
    store.save_plan(
        config_yaml="", prompts=plan.prompts, digests=plan.digests, settings=plan.settings,
        planned=len(plan),
    )  # fmt: skip
    progress = LineProgress()
    async with AsyncExitStack() as stack:
        endpoints = await open_endpoints(prepared, stack, progress)
        budget = RunBudget(None, {s.setting_id: None for s in plan.settings})
        runner = Runner(RunContext(plan, store, endpoints, budget, progress))
        progress.start(total=len(plan), done=0, label=plan.config.name)
        began, cpu = time.perf_counter(), time.process_time()
        await runner.run(np.zeros(len(plan), dtype=np.bool_))
        recorded = time.perf_counter() - began, time.process_time() - cpu
        await store.finish(status="complete", reason=None)
        sealed = time.perf_counter() - began, time.process_time() - cpu
        return Took(recorded[0], sealed[0], recorded[1], sealed[1])


async def bare(prepared: PreparedRun, base_url: str, concurrency: int) -> Took:
    """Send the same bodies with pyreqwest alone."""
    plan = prepared.plan
    bodies = (plan.body(trial) for trial in plan.trials())
    headers = {"content-type": "application/json"}
    client = ClientBuilder().max_connections(concurrency).no_proxy().build()

    async def work() -> None:
        for body in bodies:
            request = client.post(f"{base_url}/chat/completions").headers(headers).body_bytes(body)
            response = await request.build().send()
            await response.bytes()

    async with client:
        began, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(work() for _ in range(concurrency)))
        seconds = time.perf_counter() - began
        used = time.process_time() - cpu
        return Took(seconds, seconds, used, used)


async def bare_streams(
    prepared: PreparedRun, base_url: str, concurrency: int
) -> tuple[list[float], float]:
    """Read the same streams with pyreqwest alone.

    Returns:
        For each chunk the seconds between the instant in its text and its arrival here, and the
        processor time of all.
    """
    plan = prepared.plan
    bodies = (plan.body(trial) for trial in plan.trials())
    headers = {"content-type": "application/json", "connection": "close"}
    client = ClientBuilder().max_connections(concurrency).no_proxy().build()
    late: list[float] = []

    async def work() -> None:
        for body in bodies:
            request = client.post(f"{base_url}/chat/completions").headers(headers).body_bytes(body)
            async with request.streamed_read_buffer_limit(0).build_streamed() as response:
                while (chunk := await response.body_reader.read_chunk()) is not None:
                    now_ns, data = session_clock.now_ns(), chunk.to_bytes()
                    at = data.find(_CONTENT)
                    if at >= 0:
                        written = int(data[at + len(_CONTENT) :].partition(b" ")[0])
                        late.append((now_ns - written) / 1e9)

    async with client:
        cpu = time.process_time()
        await asyncio.gather(*(work() for _ in range(concurrency)))
        return late, time.process_time() - cpu


def checked(root: Path, trials: int) -> None:
    """Stop unless the run folder is sound and holds every trial: what was timed was done.

    Raises:
        SystemExit: something is missing or damaged.
    """
    report = verify_folder(root)
    if not report.is_sound or report.records != trials:
        raise SystemExit(f"{report.records} of {trials} records, {report.findings}")
