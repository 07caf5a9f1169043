"""Does sealing keep up, what does it cost, and how small is what it writes?

    python -m benchmarks.sealing [--trials 100000] [--concurrency 64]

Cost: the same plan is run with sealing as it is and with all sealing left to the end; compared are
trials a second until the last is recorded. Under other load on the machine read the processor time
instead: of the whole run, and of the same run without any sealing. Backlog: the rows of each part,
which grow from part to part where sealing does not keep up. Size: the parts of a run against the
emulator, whose texts are those of a small language model, over the same records as JSON lines.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import NamedTuple

import msgspec

from benchmarks.harness import Took, checked, configuration, durable
from benchmarks.nginx import canned_server
from evalharness.cli.execution.event_loop import run_on_loop
from evalharness.cli.execution.prepare import prepare
from evalharness.store.folder.run import Run
from evalharness.store.parts import seal


class Sealing(NamedTuple):
    """One run: what it took, and the rows of its record parts in order."""

    took: Took
    rows: list[int]


def run_once(folder: Path, base_url: str, trials: int, concurrency: int, name: str) -> Sealing:
    """Run a plan and look at its parts."""
    config = configuration(folder, base_url, trials, concurrency, name=name)
    prepared = prepare([config])
    took = run_on_loop(lambda: durable(prepared, folder / name))
    checked(folder / name, len(prepared.plan))
    parts = Run.open(folder / name).manifest.parts
    return Sealing(took, [part.rows for part in parts if part.path.startswith("records/")])


@contextlib.contextmanager
def left_to_the_end() -> Generator[None]:
    """While inside, no part is sealed before a run ends."""
    trials, size = seal.SEAL_TRIALS, seal.SEAL_BYTES
    seal.SEAL_TRIALS = seal.SEAL_BYTES = 2**62
    try:
        yield
    finally:
        seal.SEAL_TRIALS, seal.SEAL_BYTES = trials, size


def share_of_jsonl(folder: Path, trials: int) -> float:
    """Bytes of the Parquet parts over bytes of the same records as JSON lines without nulls.

    The parts hold the attempts too, which the lines do not.
    """
    provider = {"kind": "emulator", "name": "emulator", "model": "qwen-plus"}
    config = configuration(folder, "", trials, 32, name="sizes", provider=provider)
    prepared = prepare([config])
    run_on_loop(lambda: durable(prepared, folder / "sizes"))
    checked(folder / "sizes", len(prepared.plan))
    lines = 0
    for batch in Run.open(folder / "sizes").table("records").to_batches():
        for row in batch.to_pylist():
            known = {name: value for name, value in row.items() if value is not None}
            lines += len(msgspec.json.encode(known, enc_hook=str)) + 1
    parts = sum(part.stat().st_size for part in (folder / "sizes").glob("*/part-*.parquet"))
    return parts / lines


def main() -> None:
    """Print cost, backlog and size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--concurrency", type=int, default=64)
    options = parser.parse_args()
    trials, concurrency = options.trials, options.concurrency
    with tempfile.TemporaryDirectory() as name, canned_server() as base_url:
        folder = Path(name)
        run_once(folder, base_url, 2_000, concurrency, "warm")
        sealed = run_once(folder, base_url, trials, concurrency, "sealed")
        with left_to_the_end():
            late = run_once(folder, base_url, trials, concurrency, "late")
        print(
            f"cost: {trials / sealed.took.recorded_s:.0f} trials/s, with all sealing left to the "
            f"end {trials / late.took.recorded_s:.0f}/s: "
            f"{1 - late.took.recorded_s / sealed.took.recorded_s:.0%} of throughput; processor "
            f"{1e6 * sealed.took.recorded_cpu_s / trials:.0f} and "
            f"{1e6 * late.took.recorded_cpu_s / trials:.0f} µs a trial, "
            f"{1 - late.took.recorded_cpu_s / sealed.took.recorded_cpu_s:.0%}"
        )
        print(f"backlog: rows of the parts in order {sealed.rows}")
        print(f"size: {share_of_jsonl(folder, 4_000):.0%} of JSON lines")


if __name__ == "__main__":
    main()
