"""How soon does a command do something? Best and median of several starts.

    python -m benchmarks.startup [--times 7]

``--help``; ``plan`` of a million trials (10,000 prompts, 10 temperatures, 10 repeats); and the
first request of the quickstart: from the start of the process to its arrival, by the clock of a
server that stands in for the model and is up already, so that loading one is not counted; and
``list`` of a thousand runs. Beside the wall time stands the processor time of the command, which
other load disturbs less.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.paced import paced_server, stats

PROMPTS, TEMPERATURES, REPEATS = 10_000, 10, 10
COMMAND = [sys.executable, "-m", "evalharness"]


class Took(NamedTuple):
    """Wall and processor seconds of one command."""

    wall_s: float
    cpu_s: float


def timed(arguments: list[str], cwd: Path) -> tuple[Took, str]:
    """Run a command to its end; what it took, and its standard output.

    Raises:
        SystemExit: it failed.
    """
    before, began = os.times(), time.perf_counter()
    done = subprocess.run(
        [*COMMAND, *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )
    wall, after = time.perf_counter() - began, os.times()
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)}: exit {done.returncode}\n{done.stderr}")
    used = after.children_user + after.children_system - before.children_user
    return Took(wall, used - before.children_system), done.stdout


def list_once(cwd: Path, runs: int = 1_000) -> Took:
    """``evalharness list`` of so many finished runs, each with its report."""
    results = cwd / "results"
    if not (results / "run-0").exists():
        rows = [{"prompt_id": f"p{p}", "temperature": t, "text": "yes", "score": 1}
                for p in range(30) for t in (0, 0.7, 1) for _ in range(5)]  # fmt: skip
        (cwd / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        timed(["import", "rows.jsonl", "run-0"], cwd)
        timed(["list", "--compute"], cwd)
        for number in range(1, runs):
            shutil.copytree(results / "run-0", results / f"run-{number}")
    took, text = timed(["list", "--json"], cwd)
    if sum(row["score"] is not None for row in json.loads(text)) != runs:
        raise SystemExit("not every run is listed with its score")
    return took


def help_once(cwd: Path) -> Took:
    """``evalharness --help``."""
    took, text = timed(["--help"], cwd)
    if "report" not in text:
        raise SystemExit("--help does not list the commands")
    return took


def plan_once(cwd: Path, prompts: int = PROMPTS) -> Took:
    """``evalharness plan`` of ``prompts`` × 10 × 10 trials."""
    dataset = cwd / "prompts.jsonl"
    if not dataset.exists():
        rows = (
            {"id": f"p{n}", "prompt": f"Name the capital of country {n}."} for n in range(prompts)
        )
        dataset.write_text("".join(json.dumps(row) + "\n" for row in rows))
    temperatures = [n / 10 for n in range(TEMPERATURES)]
    took, text = timed(
        ["plan", f"dataset.path={dataset}", "sweep=none", f"+sweep.temperature={temperatures}",
         f"repeats={REPEATS}", "--json"],
        cwd,
    )  # fmt: skip
    trials = prompts * TEMPERATURES * REPEATS
    if json.loads(text)["trials"] != trials:
        raise SystemExit(f"planned {json.loads(text)['trials']} of {trials} trials")
    return took


def first_request_once(cwd: Path) -> Took:
    """``evalharness run``, the quickstart, until its first request; then to its end, unmeasured.

    The processor time is that of the whole command, report included.
    """
    with paced_server(delay_s=0.0) as address:
        began = time.time()
        took, _ = timed(
            ["run", "provider=openai_compatible", f"provider.base_url={address}/v1",
             "provider.model=m", "provider.api_key_env=null"],
            cwd,
        )  # fmt: skip
        seen = stats(address)
    shutil.rmtree(cwd / "results")
    if not seen["requests"]:
        raise SystemExit("no request arrived")
    return Took(seen["first_at"] - began, took.cpu_s)


def main() -> None:
    """Print one line a command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=7)
    times = parser.parse_args().times
    with tempfile.TemporaryDirectory() as name:
        for what, once, target in (
            ("--help", help_once, 0.15),
            ("plan of 1,000,000 trials", plan_once, 2.0),
            ("first request of the quickstart", first_request_once, 1.5),
            ("list of 1,000 runs", list_once, 1.0),
        ):
            took = [once(Path(name)) for _ in range(times)]
            walls, cpu = [t.wall_s for t in took], min(t.cpu_s for t in took)
            print(
                f"{what}: best {min(walls):.2f} s, median {statistics.median(walls):.2f} s "
                f"(target {target:g} s); processor {cpu:.2f} s"
            )


if __name__ == "__main__":
    main()
