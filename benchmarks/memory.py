"""Is memory flat in the number of trials?

    python -m benchmarks.memory [--trials 10000 1000000] [--concurrency 64]

Each size is a run of its own in a process of its own against nginx; printed is the most memory that
was resident at any moment (``ru_maxrss``), until all was sealed, the report left out.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.harness import checked, configuration, durable
from benchmarks.nginx import canned_server
from evalharness.commands.eventloop import run_on_loop
from evalharness.commands.run import prepare


def peak_mib(base_url: str, trials: int, concurrency: int) -> float:
    """MiB resident at most during a run of ``trials`` in a process of its own.

    Raises:
        SystemExit: the run failed, or records are missing.
    """
    command = [sys.executable, "-m", "benchmarks.memory", "--one", base_url]
    command += ["--trials", str(trials), "--concurrency", str(concurrency)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return float(done.stdout)


def _one(base_url: str, trials: int, concurrency: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepared = prepare([configuration(folder, base_url, trials, concurrency)])
        run_on_loop(durable(prepared, folder / "run"))
        # Before the check, which reads the whole run again.
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        checked(folder / "run", len(prepared.plan))


def main() -> None:
    """Print one line a size, and how much the last is over the first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--one", metavar="BASE_URL", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        _one(options.one, options.trials[0], options.concurrency)
        return
    with canned_server() as base_url:
        peaks = [peak_mib(base_url, trials, options.concurrency) for trials in options.trials]
    for trials, peak in zip(options.trials, peaks, strict=True):
        print(f"{trials} trials: {peak:.0f} MiB at most, {peak / peaks[0]:.2f} of the first")


if __name__ == "__main__":
    main()
