"""Durable trials a second of an own Python function beside those of a server that answers at once.

    python -m benchmarks.functions [--trials 40000] [--concurrency 64]

Both runs have the same plan and the same journal. The function does nothing but return; the
server is nginx with a canned answer. The ratio is the figure to read.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import NamedTuple

from benchmarks.harness import Took, checked, configuration, durable
from benchmarks.nginx import canned_server
from evalharness.cli.execution.event_loop import run_on_loop
from evalharness.cli.execution.prepare import prepare


async def answer(prompt: str) -> str:
    """Return at once."""
    return "Paris"


class FunctionTimes(NamedTuple):
    """What both runs took."""

    trials: int
    function: Took
    server: Took

    @property
    def ratio(self) -> float:
        """Trials a second of the function over those of the server."""
        return self.server.sealed_s / self.function.sealed_s


def measure(folder: Path, base_url: str, trials: int, concurrency: int) -> FunctionTimes:
    """Run both, and check that all was recorded."""
    times: list[Took] = []
    provider = {
        "kind": "python", "name": "python", "model": "f", "call": "benchmarks.functions:answer",
    }  # fmt: skip
    count = 0
    for name, more in (("server", {}), ("function", {"provider": provider})):
        config = configuration(folder, base_url, trials, concurrency, **more)
        prepared = prepare([config])
        root, count = folder / name, len(prepared.plan)
        times.append(run_on_loop(lambda p=prepared, r=root: durable(p, r)))
        checked(root, count)
    return FunctionTimes(count, times[1], times[0])


def main() -> None:
    """Print one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=40_000)
    parser.add_argument("--concurrency", type=int, default=64)
    options = parser.parse_args()
    with canned_server() as base_url, tempfile.TemporaryDirectory() as folder:
        warm = Path(folder) / "warm"
        warm.mkdir()
        measure(warm, base_url, 1_000, options.concurrency)
        got = measure(Path(folder), base_url, options.trials, options.concurrency)
    print(
        f"{got.trials / got.function.sealed_s:.0f} durable trials/s of a function, "
        f"{got.trials / got.server.sealed_s:.0f} of a server, ratio {got.ratio:.2f}; processor "
        f"{1e6 * got.function.cpu_s / got.trials:.0f} and "
        f"{1e6 * got.server.cpu_s / got.trials:.0f} µs a trial"
    )


if __name__ == "__main__":
    main()
