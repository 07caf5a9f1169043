"""The same plan in one process and on Ray with several workers, against a server that is no limit.

    python -m benchmarks.scale [--trials 20000] [--workers 1 2 4] [--concurrency 64]

Trials a second are counted from the first request to the last, so Ray's own start (printed
beside) is left out. Workers, coordinator and server share the processors of one machine: the
figures say what an additional process costs and gains here, not what another machine would.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import evalharness as package
from benchmarks.harness import PROMPTS, checked, configuration
from benchmarks.nginx import canned_server


def measure(folder: Path, base_url: str, trials: int, concurrency: int, workers: int) -> str:
    """Run the command, with so many workers (0: in one process), and say what came of it."""
    configuration(folder, base_url, trials, concurrency)
    name = f"workers-{workers}"
    ray = ["execution=ray", f"execution.workers={workers}"] if workers else []
    command = [
        sys.executable, "-m", "evalharness", "run", f"name={name}", "provider=openai_compatible",
        f"provider.base_url={base_url}", "provider.model=m", f"dataset.path={folder}/prompts.jsonl",
        "params.max_tokens=64", "sweep=none", "sweep.temperature=[0,1]", "scoring=none",
        f"repeats={max(1, trials // (2 * PROMPTS))}", f"limits.concurrency={concurrency}",
        f"results_dir={folder}", *ray,
    ]  # fmt: skip
    began = time.time()
    with (folder / f"{name}.log").open("w") as log:
        subprocess.run(command, check=True, stdout=log, stderr=log)
    root = folder / name
    planned = 2 * PROMPTS * max(1, trials // (2 * PROMPTS))
    checked(root, planned)
    run = package.load(root)
    sent = np.sort(run.records()["sent_at"].astype("int64").to_numpy()) / 1e9
    session = run.manifest.sessions[-1]
    rate = (planned - 1) / (sent[-1] - sent[0])
    return (
        f"{workers or 'no'} workers: {rate:.0f} trials/s; first request after "
        f"{sent[0] - began:.1f} s; loop lag p99 of the worst {session['loop_lag_s']['p99']:.4f} s; "
        f"parts {len(list(root.glob('records/part-*.parquet')))}"
    )


def main() -> None:
    """Print one line a number of workers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=20_000)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2, 4])
    parser.add_argument("--concurrency", type=int, default=64)
    options = parser.parse_args()
    print(f"{os.cpu_count()} processors, load average {os.getloadavg()[0]:.1f}")
    with canned_server() as base_url, tempfile.TemporaryDirectory() as folder:
        for workers in options.workers:
            line = measure(Path(folder), base_url, options.trials, options.concurrency, workers)
            print(line, flush=True)


if __name__ == "__main__":
    main()
