"""What watching costs a running run: the same run in turns, alone and with watchers.

    python -m benchmarks.view_watching [--rounds 6] [--watchers 10] [--trials 4000]

The run sends to an emulator at a fixed concurrency; the watchers are connections to the events of
``evalharness view``, which reads the run's journal once a second. Compared are the processor time
of the run's own process for the same trials, which a busy machine hardly changes, and its rate.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

COMMAND = [sys.executable, "-m", "evalharness"]


class Turn(NamedTuple):
    """Seconds of one run: its processor time, and its duration."""

    cpu_s: float
    seconds: float


@contextlib.contextmanager
def _emulator() -> Iterator[str]:
    command = [
        sys.executable,
        "-m",
        "evalharness.emulator",
        "--exit-with-parent",
        "--ttft-ms",
        "50",
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["base_url"]
        finally:
            process.stdin.close()


@contextlib.contextmanager
def _view(folder: Path) -> Iterator[str]:
    with subprocess.Popen(
        [*COMMAND, "view", "--port", "0"], cwd=folder, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip().rstrip("/")
        finally:
            process.terminate()


def _watch(url: str, name: str, folder: Path, counts: list[int]) -> None:
    """Read events until the run has ended; how many came."""
    while not (folder / "results" / name / "run.json").exists():
        time.sleep(0.05)
    events = 0
    with urllib.request.urlopen(f"{url}/run/{name}/events", timeout=120) as answer:
        for line in answer:
            events += line.startswith(b"event: ")
    counts.append(events)


def _run(folder: Path, base_url: str, name: str) -> Turn:
    command = [
        *COMMAND, "run", f"name={name}", "provider=openai_compatible",
        f"provider.base_url={base_url}", "provider.model=qwen-plus", "dataset=file",
        "dataset.path=prompts.jsonl", "repeats=1", "sweep=none", "scoring=none",
        "params.max_tokens=16", "limits.concurrency=32",
    ]  # fmt: skip
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    manifest = json.loads((folder / "results" / name / "run.json").read_bytes())
    (session,) = manifest["sessions"]
    return Turn(session["cpu_s"], session["seconds"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--watchers", type=int, default=10)
    parser.add_argument("--trials", type=int, default=4_000)
    options = parser.parse_args()
    turns: dict[bool, list[Turn]] = {False: [], True: []}
    with tempfile.TemporaryDirectory() as name, _emulator() as base_url:
        folder = Path(name)
        prompts = (json.dumps({"prompt": f"Say {n}"}) for n in range(options.trials))
        (folder / "prompts.jsonl").write_text("\n".join(prompts))
        (folder / "results").mkdir()
        _run(folder, base_url, "warm-up")
        with _view(folder) as url:
            for number in range(options.rounds):
                for watched in (False, True) if number % 2 else (True, False):
                    run, counts = f"r{number}-{watched}", list[int]()
                    watchers = [
                        threading.Thread(target=_watch, args=(url, run, folder, counts))
                        for _ in range(options.watchers if watched else 0)
                    ]
                    for watcher in watchers:
                        watcher.start()
                    turn = _run(folder, base_url, run)
                    for watcher in watchers:
                        watcher.join()
                    turns[watched].append(turn)
                    print(f"{run}: {turn.cpu_s:.2f} s CPU, {turn.seconds:.2f} s, events {counts}")
    _print_change("CPU of the run", turns, "cpu_s")
    _print_change("duration", turns, "seconds")
    print(f"{os.cpu_count()} CPUs, {options.trials} trials, {options.watchers} watchers")


def _print_change(what: str, turns: dict[bool, list[Turn]], field: str) -> None:
    pairs = zip(turns[False], turns[True], strict=True)
    shares = [getattr(b, field) / getattr(a, field) - 1 for a, b in pairs]
    alone = statistics.median(getattr(turn, field) for turn in turns[False])
    print(
        f"{what}: {alone:.2f} s alone; watched {statistics.median(shares):+.1%} (median of pairs)"
    )


if __name__ == "__main__":
    main()
