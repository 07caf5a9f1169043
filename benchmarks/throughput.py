"""Durable trials a second against a server that answers at once, beside a bare pyreqwest loop.

    python -m benchmarks.throughput [--trials 40000] [--concurrency 64 1000]

Each line is one run of the real command's own parts: journal committed before every request and
after every answer, sealed into Parquet, progress on. The bare loop sends the same bodies over the
same transport library and throws the answers away. Both run in the same minute; the ratio is the
figure to read, the absolute ones belong to the machine.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import NamedTuple

from benchmarks.harness import Took, bare, checked, configuration, durable
from benchmarks.nginx import canned_server
from evalharness.cli.execution.event_loop import run_on_loop
from evalharness.cli.execution.prepare import prepare


class Measured(NamedTuple):
    """One concurrency: what the run and the bare loop took, and bytes a sealed record."""

    trials: int
    ours: Took
    loop: Took
    bytes_each: float

    @property
    def ratio(self) -> float:
        """Durable trials a second over bare requests a second."""
        return self.loop.sealed_s / self.ours.sealed_s


def measure(folder: Path, base_url: str, trials: int, concurrency: int) -> Measured:
    """Run the bare loop, then the plan, and check that all was recorded."""
    config = configuration(folder, base_url, trials, concurrency)
    prepared = prepare([config])
    loop = run_on_loop(lambda: bare(prepared, base_url, concurrency))
    root = folder / config.name
    ours = run_on_loop(lambda: durable(prepared, root))
    checked(root, len(prepared.plan))
    size = sum(part.stat().st_size for part in root.glob("records/*.parquet"))
    return Measured(len(prepared.plan), ours, loop, size / len(prepared.plan))


def main() -> None:
    """Print one line a concurrency."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=40_000)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[64, 1000])
    options = parser.parse_args()
    with canned_server() as base_url, tempfile.TemporaryDirectory() as folder:
        # Imports and first connections belong to the start-up benchmark.
        warm = Path(folder) / "warm"
        warm.mkdir()
        measure(warm, base_url, 1_000, options.concurrency[0])
        for concurrency in options.concurrency:
            got = measure(Path(folder), base_url, options.trials, concurrency)
            trials = got.trials
            print(
                f"concurrency {concurrency}: {trials / got.ours.sealed_s:.0f} durable trials/s, "
                f"bare loop {trials / got.loop.sealed_s:.0f}/s, ratio {got.ratio:.2f}; processor "
                f"{1e6 * got.ours.cpu_s / trials:.0f} µs a trial, bare "
                f"{1e6 * got.loop.cpu_s / trials:.0f} µs; {got.bytes_each:.0f} bytes a record"
            )


if __name__ == "__main__":
    main()
