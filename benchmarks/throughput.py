"""Durable trials a second against a server that answers at once, beside a bare pyreqwest loop.

    python benchmarks/throughput.py [--trials 40000] [--concurrency 64 1000]

Each line is one run of the real command's own parts: journal committed before every request and
after every answer, sealed into Parquet, progress on. The bare loop sends the same bodies over the
same transport library and throws the answers away. Both run in the same minute; the ratio is the
figure to read, the absolute ones belong to the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from pyreqwest.client import ClientBuilder

from benchmarks.nginx import canned_server
from evalharness.commands.eventloop import run_on_loop
from evalharness.commands.opening import open_lanes
from evalharness.commands.run import Prepared, prepare
from evalharness.config import RunConfig, parse
from evalharness.progress import LineProgress
from evalharness.runner import Runner
from evalharness.runner.money import Money
from evalharness.store.verify import verify_folder
from evalharness.store.writer import RunStore

PROMPTS = 100


def configuration(folder: Path, base_url: str, trials: int, concurrency: int) -> RunConfig:
    """A sweep of two temperatures over a hundred prompts, as many repeats as it takes."""
    path = folder / "prompts.jsonl"
    rows = [
        {"id": f"p{n}", "prompt": f"What is the capital of country {n}?"} for n in range(PROMPTS)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return parse(
        {
            "name": f"bench-{concurrency}",
            "provider": {"kind": "remote", "name": "canned", "model": "m", "base_url": base_url},
            "dataset": {"path": str(path)},
            "params": {"max_tokens": 64},
            "sweep": {"temperature": [0, 1]},
            "repeats": max(1, trials // (2 * PROMPTS)),
            "limits": {"concurrency": concurrency},
        }
    )


async def durable(prepared: Prepared, root: Path) -> float:
    """Run the plan as ``evalharness run`` does; returns seconds until all is sealed."""
    from contextlib import AsyncExitStack

    plan = prepared.plan
    store = RunStore(root, code_version="bench")
    store.save_plan(
        config_yaml="", prompts=plan.prompts, digests=plan.digests, settings=plan.settings,
        planned=len(plan),
    )  # fmt: skip
    progress = LineProgress()
    async with AsyncExitStack() as stack:
        lanes = await open_lanes(prepared, stack, progress)
        money = Money(None, {s.setting_id: None for s in plan.settings})
        runner = Runner(plan, store, lanes, money=money, progress=progress)
        progress.start(total=len(plan), done=0, label=plan.config.name)
        began = time.perf_counter()
        await runner.run(np.zeros(len(plan), dtype=np.bool_))
        await store.finish(status="complete", reason=None)
        return time.perf_counter() - began


async def bare(prepared: Prepared, base_url: str, concurrency: int) -> float:
    """Send the same bodies with pyreqwest alone; returns seconds."""
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
        began = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(concurrency)))
        return time.perf_counter() - began


def main() -> None:
    """Print one line a concurrency."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=40_000)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[64, 1000])
    options = parser.parse_args()
    with canned_server() as base_url, tempfile.TemporaryDirectory() as folder:
        for concurrency in options.concurrency:
            config = configuration(Path(folder), base_url, options.trials, concurrency)
            prepared = prepare([config])
            trials = len(prepared.plan)
            loop_s = run_on_loop(bare(prepared, base_url, concurrency))
            root = Path(folder) / config.name
            ours_s = run_on_loop(durable(prepared, root))
            report = verify_folder(root)
            assert report.sound, report.findings
            assert report.records == trials
            size = sum(p.stat().st_size for p in root.glob("records/*.parquet"))
            rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(
                f"concurrency {concurrency}: {trials / ours_s:.0f} durable trials/s, bare loop "
                f"{trials / loop_s:.0f}/s, ratio {loop_s / ours_s:.2f}; "
                f"{size / trials:.0f} bytes a record, {rss:.0f} MiB at most"
            )


if __name__ == "__main__":
    main()
