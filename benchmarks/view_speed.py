"""How fast the pages of ``evalharness view`` are: a thousand runs in the list.

``python -m benchmarks.view_speed`` makes its runs in a temporary folder, serves them by the command
in a process of its own, and prints seconds and the memory of that process.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import NamedTuple

REPEATS = 9


class Timing(NamedTuple):
    """Seconds of the first request of a page, and of the median one after it."""

    page: str
    first_s: float
    again_s: float
    bytes: int


def main() -> None:
    """Measure all pages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--records", type=Path, help="a run, whose table of records is measured")
    options = parser.parse_args()
    if options.records is not None:
        time_records(options.records)
        return
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder, "results")
        make_runs(results, options.runs)
        with ViewProcess(results) as view:
            pages = ["/", "/?sort=score", "/?q=00&tag=nightly", "/run/run-00001"]
            for page in pages:
                print_timing(time_page(view.url, page))
            print(f"memory {view.memory_mb():.0f} MB")


def time_records(run: Path) -> None:
    """Measure the table of records of a run: before its scores are there, and after."""
    address = f"/run/{run.name}/records"
    before = ("", "?page=2", "?status=error", "?sort=latency_s&reverse=1", "?q=the+answer")
    after = ("?max_score=0.5", "?unstable=output&sort=score", "?sort=cost_usd", "?page=100")
    with ViewProcess(run) as view:
        for query in before:
            print_timing(time_page(view.url, address + query))
        print_timing(time_page(view.url, f"{address}/scores", repeats=1))
        for query in after:
            print_timing(time_page(view.url, address + query))
        print(f"memory {view.memory_mb():.0f} MB")


def print_timing(timing: Timing) -> None:
    print(
        f"{timing.page:50} first {timing.first_s:6.3f} s  "
        f"again {timing.again_s:6.3f} s  {timing.bytes / 1e3:8,.0f} kB"
    )


def make_runs(results: Path, count: int) -> None:
    """Write one run with a report, and copies of it with names, dates and tags of their own."""
    from evalharness.report.json import write_summary
    from tests.report import runs

    results.mkdir(parents=True)
    report = runs.sweep(results, 20, 4, seeds=(None, 7))
    write_summary(report.run.root, report.data)
    manifest = json.loads((report.run.root / "run.json").read_text())
    for number in range(count):
        folder = results / f"run-{number:05}"
        folder.mkdir()
        for name in ("settings.parquet", "prompts.parquet", "summary.json"):
            shutil.copy(report.run.root / name, folder / name)
        (folder / "records").mkdir()
        for part in (report.run.root / "records").iterdir():
            (folder / "records" / part.name).hardlink_to(part)
        day = f"2026-{1 + number // 28 % 12:02}-{1 + number % 28:02}T08:00:00+00:00"
        (folder / "run.json").write_text(json.dumps(manifest | {"created_at": day}))
        notes = {"note": f"night {number}", "tags": ["nightly" if number % 2 else "weekly"]}
        (folder / "notes.json").write_text(json.dumps(notes))
    shutil.rmtree(report.run.root)


class ViewProcess:
    """The command in a process of its own; use as a context manager."""

    def __init__(self, *places: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "evalharness", "view", *map(str, places), "--port", "0"],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip().rstrip("/")

    def __enter__(self) -> ViewProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()

    def memory_mb(self) -> float:
        """The most memory it had so far, in MB."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(peak.split()[1]) / 1024


def time_page(url: str, page: str, repeats: int = REPEATS) -> Timing:
    """Ask for a page several times."""
    seconds, size = [], 0
    for _ in range(1 + repeats):
        begin = time.perf_counter()
        with urllib.request.urlopen(url + page) as answer:
            size = len(answer.read())
        seconds.append(time.perf_counter() - begin)
    return Timing(page, seconds[0], statistics.median(seconds[1:]), size)


if __name__ == "__main__":
    main()
