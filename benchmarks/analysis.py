"""Does the analysis scale? Processor time and memory of the commands that read a run.

    python -m benchmarks.analysis [--records 10000 100000 1000000] [--folder DIR]
                                  [--commands report …] [--permutations]

A complete run of each size is made (:mod:`benchmarks.recorded`: ten settings × ten repeats, texts
of 60 to 220 tokens), and each command is run over it in a process of its own. Printed are processor
seconds of all threads and copies of the process, wall seconds, the most memory that they took
together (looked at four times a second), processor time a record, and at the end the exponent of
processor time in the number of records, between each two sizes (1 is linear). ``--folder`` keeps
the runs and uses them again. With ``--permutations`` a comparison alone is timed: 20 settings × 10⁴
prompts × five repeats, 9,999 draws, all six metrics; reading the run is told apart.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

# As the commands do, before numpy is imported (evalharness/cli/__init__.py).
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from benchmarks.recorded import Shape, make
from evalharness.analysis import stats
from evalharness.analysis.comparison.compare import compare
from evalharness.report.build.open_run import open_run
from evalharness.store.folder.run import Run

COMPARED = Shape(prompts=10_000, settings=20, repeats=5)

COMMANDS: dict[str, list[str]] = {
    "report": ["report", "{run}"],
    "json": ["report", "{run}", "--json"],
    "html": ["report", "{run}", "--json", "--html", "{run}.html"],
    "compare": ["compare", "{run}", "--by", "temperature", "--json"],
    "check": ["check", "{run}", "--min-agreement", "0"],
    "verify": ["verify", "{run}", "--json"],
}


class Took(NamedTuple):
    """One command over one run; ``output`` is what it wrote to stdout."""

    cpu_s: float
    wall_s: float
    memory_mib: float
    output: str


class Watched(threading.Thread):
    """Watches the memory of a process and its children while a ``with`` lasts.

    Attributes:
        most_kib: the most that they took together; what they share counts once.
    """

    def __init__(self, process: int) -> None:
        super().__init__()
        self._process = process
        self._over = threading.Event()
        self.most_kib = 0

    def __enter__(self) -> Watched:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        """Look every now and then."""
        while not self._over.wait(0.25):
            self.most_kib = max(self.most_kib, _resident_kib(self._process))


def _resident_kib(process: int) -> int:
    """Memory of a process, its share of what others hold, too, and of its children; 0 when gone."""
    try:
        folder = Path(f"/proc/{process}")
        lines = (folder / "smaps_rollup").read_text().splitlines()
        children = (folder / "task" / str(process) / "children").read_text().split()
    except OSError:
        return 0
    own = next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
    return own + sum(_resident_kib(int(child)) for child in children)


def run_command(name: str, run: Path) -> Took:
    """Run a command of :data:`COMMANDS` in a process of its own.

    Raises:
        SystemExit: it failed.
    """
    words = [word.format(run=run) for word in COMMANDS[name]]
    with tempfile.TemporaryFile() as output:
        began = time.perf_counter()
        child = subprocess.Popen([sys.executable, "-m", "evalharness", *words], stdout=output)
        with Watched(child.pid) as watched:
            _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - began
        output.seek(0)
        text = output.read().decode()
    if child.returncode:
        raise SystemExit(f"evalharness {' '.join(words)}: exit code {child.returncode}\n{text}")
    memory = max(watched.most_kib, used.ru_maxrss) / 1024
    return Took(used.ru_utime + used.ru_stime, wall, memory, text)


def made(folder: Path, records: int) -> Path:
    """The run of about so many records below ``folder``, made unless it is there."""
    shape = Shape(prompts=max(1, records // 100))
    root = folder / f"records-{shape.trials}"
    if not (root / "run.json").exists():
        make(root, shape)
    return root


def checked(name: str, took: Took, records: int) -> None:
    """Stop unless a command looked at every record.

    Raises:
        SystemExit: it did not.
    """
    if name in ("json", "html"):
        seen = json.loads(took.output)["run"]["records"]
    elif name == "verify":
        found = json.loads(took.output)
        seen = found["records"] if not found["findings"] else found["findings"]
    else:
        return
    if seen != records:
        raise SystemExit(f"{name}: {seen} of {records} records")


def exponents(sizes: Sequence[int], seconds: Sequence[float]) -> list[float]:
    """How processor time grows between each two sizes: 1 is linear."""
    pairs = zip(sizes, sizes[1:], seconds, seconds[1:], strict=False)
    return [math.log(after / before) / math.log(more / less) for less, more, before, after in pairs]


def comparison(root: Path, shape: Shape = COMPARED) -> dict[str, Any]:
    """Time the comparison of the settings of a run along their temperature; make it if need be."""
    if not (root / "run.json").exists():
        make(root, shape)
    marks = [(time.process_time(), time.perf_counter())]
    frame = open_run(Run.open(root)).frame
    marks.append((time.process_time(), time.perf_counter()))
    rows = compare(frame, by="temperature")
    marks.append((time.process_time(), time.perf_counter()))
    (read_cpu, read_wall), (cpu, wall) = np.diff(marks, axis=0).round(2).tolist()
    return {
        "settings": len(frame.setting_ids), "prompts": len(frame.prompt_ids),
        "draws": stats.DRAWS, "comparisons": len(rows),
        "read_cpu_s": read_cpu, "read_wall_s": read_wall, "cpu_s": cpu, "wall_s": wall,
    }  # fmt: skip


def main() -> None:
    """Print one line a command and size, and the exponents."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--records", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--commands", nargs="+", choices=COMMANDS, default=list(COMMANDS))
    parser.add_argument("--folder", type=Path, help="keep the runs here, and use them again")
    parser.add_argument("--permutations", action="store_true", help="time a comparison alone")
    options = parser.parse_args()
    print(f"load average {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        if options.permutations:
            print(json.dumps(comparison(folder / "settings-20")))
            return
        runs = [made(folder, records) for records in options.records]
        for name in options.commands:
            seconds: list[float] = []
            for run in runs:
                records = int(run.name.split("-")[1])
                took = run_command(name, run)
                checked(name, took, records)
                seconds.append(took.cpu_s)
                print(
                    f"{name} of {records}: {took.cpu_s:.1f} s of processor time "
                    f"({1e6 * took.cpu_s / records:.0f} µs a record), {took.wall_s:.1f} s, "
                    f"{took.memory_mib:.0f} MiB"
                )
            grown = exponents([int(r.name.split("-")[1]) for r in runs], seconds)
            if grown:
                print(f"{name}: exponents {', '.join(f'{value:.2f}' for value in grown)}")


if __name__ == "__main__":
    main()
