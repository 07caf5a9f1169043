"""Is memory flat in the number of trials?

    python -m benchmarks.memory [--trials 10000 1000000] [--concurrency 64]

Each size is a run of its own in a process of its own against nginx; printed is the most memory that
was resident at any moment (the kernel's ``VmHWM``) until all was sealed, the report left out: of
the process that sends, and of its helper that makes parts.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.harness import checked, configuration, durable
from benchmarks.nginx import canned_server
from evalharness.cli.execution.event_loop import run_on_loop
from evalharness.cli.execution.prepare import prepare
from evalharness.store.parts.seal_process import SealProcess


class Peaks(NamedTuple):
    """MiB resident at most: the process that sends, and its helper (0.0: it had none)."""

    run: float
    helper: float


def peaks_of(base_url: str, trials: int, concurrency: int) -> Peaks:
    """Of a run of ``trials`` in a process of its own.

    Raises:
        SystemExit: the run failed, or records are missing.
    """
    command = [sys.executable, "-m", "benchmarks.memory", "--one", base_url]
    command += ["--trials", str(trials), "--concurrency", str(concurrency)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    run, helper = done.stdout.split()
    return Peaks(float(run), float(helper))


def _resident_mib(pid: int | str) -> float:
    """Not ``getrusage``: that begins with what the parent held."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


@contextmanager
def _helpers() -> Generator[list[float]]:
    """Collects what each helper held when it was closed."""
    found: list[float] = []
    close = SealProcess.close

    def noted(self: SealProcess) -> None:
        if self.process is not None:
            found.append(_resident_mib(self.process.pid))
        close(self)

    SealProcess.close = noted
    try:
        yield found
    finally:
        SealProcess.close = close


def _one(base_url: str, trials: int, concurrency: int) -> None:
    with tempfile.TemporaryDirectory() as name, _helpers() as helpers:
        folder = Path(name)
        prepared = prepare([configuration(folder, base_url, trials, concurrency)])
        run_on_loop(lambda: durable(prepared, folder / "run"))
        # Before the check, which reads the whole run again.
        print(_resident_mib("self"), max(helpers, default=0.0))
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
        peaks = [peaks_of(base_url, trials, options.concurrency) for trials in options.trials]
    for trials, peak in zip(options.trials, peaks, strict=True):
        print(
            f"{trials} trials: {peak.run:.0f} MiB at most ({peak.run / peaks[0].run:.2f} of the "
            f"first), and its helper {peak.helper:.0f} MiB"
        )


if __name__ == "__main__":
    main()
