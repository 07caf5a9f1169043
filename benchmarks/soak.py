"""Does a long run among faults keep its memory flat, and its records equal to the server's ledger?

    python -m benchmarks.soak [--trials 300000] [--fault-share 0.05] [--kills 0] [--folder DIR]

``evalharness run`` sends a sweep to the emulator in a process of its own. A request in twenty
meets a fault, of all the kinds in :data:`FAULTS` alike. Every half second the resident memory of
the command and of its children is noted. ``--kills N`` ends the command with SIGKILL N times,
spread over the run, and types it again. At the end:

* memory of the command in the last fifth is at most a tenth above the second fifth (the first one
  fills caches); only of the longest session, where there were kills;
* every request in the ledger is one attempt of the run and the other way round, by its id;
* what the ledger billed is what the attempts say, wherever they heard the bill;
* every trial has one record, and no trial was bought again after its whole answer arrived;
* ``verify`` finds the folder sound.

Exit 1 when one of them does not hold.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.dataset as ds

from evalharness.records import Outcome, Status
from evalharness.store.parts.verify import verify_folder

# No fault that makes the server wait: a soak is about many trials, not about patience.
FAULTS = (
    *("status=500", "status=503;retry-after=0", "status=429;retry-after=0", "status=408"),
    *("reset", "close", "in_doubt", "reset_headers", "reset_body", "html", "empty_body"),
    *("truncated_json", "wrong_types", "missing_usage", "null_usage", "no_choices", "null_content"),
    *("invalid_utf8", "lone_surrogates", "deep_nesting=200", "big_body=1", "json_array"),
    *("error_object", "empty_text", "refusal"),
)
PROMPTS, REPEATS = 500, 20
FLATNESS = 1.1
_POLL_S = 0.5


class MemoryPoint(NamedTuple):
    """One moment: MiB resident of the command and of its children, and the ledger's size."""

    seconds: float
    ledger_bytes: int
    command: float
    children: float


def _resident_mib(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0  # it has ended
    return int(status.split("VmRSS:")[1].split()[0]) / 1024 if "VmRSS:" in status else 0.0


def _children(pid: int) -> list[int]:
    children: list[int] = []
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children += [int(child) for child in tasks.read_text().split()]
        except OSError:
            continue
    return children


@contextmanager
def emulator(ledger: Path, fault_share: float) -> Iterator[str]:
    """An emulator with the faults, each as likely as the others; gives its base URL."""
    command = [sys.executable, "-m", "evalharness.emulator", "--exit-with-parent"]
    command += ["--ledger", str(ledger), "--output-tokens", "12"]
    for fault in FAULTS:
        command += ["--fault", f"{fault}={fault_share / len(FAULTS)}"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None, "a pipe was asked for"
        try:
            yield json.loads(server.stdout.readline())["base_url"]
        finally:
            server.terminate()


def command_line(folder: Path, base_url: str, trials: int, concurrency: int) -> list[str]:
    """The run's command; ``trials`` is rounded up to whole temperatures."""
    prompts = folder / "prompts.jsonl"
    prompts.write_text("".join(f'{{"prompt": "What is {n} + {n}?"}}\n' for n in range(PROMPTS)))
    temperatures = -(-trials // (PROMPTS * REPEATS))
    axis = ",".join(str(round(2 * n / max(1, temperatures - 1), 4)) for n in range(temperatures))
    price = "{model: m, price_usd_per_mtok: {prompt: 0.4, completion: 1.2}}"
    options = [
        *("name=soak", "provider=openai_compatible", "provider.model=m", "scoring=none"),
        *(f"provider.base_url={base_url}", f"pricing.prices=[{price}]", f"dataset.path={prompts}"),
        *("sweep=none", f"sweep.temperature=[{axis}]", f"repeats={REPEATS}"),
        "params.max_tokens=64",
        f"limits.concurrency={concurrency}",
    ]
    return [sys.executable, "-m", "evalharness", "run", "--yes", *options]


def watched(
    command: list[str], folder: Path, kill_after: int | None
) -> tuple[int, list[MemoryPoint]]:
    """Run the command and note its memory; SIGKILL once it has recorded ``kill_after`` trials."""
    points: list[MemoryPoint] = []
    began = time.monotonic()
    with (folder / "stderr.txt").open("a") as stderr:
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr
        )
    while process.poll() is None:
        points.append(_memory_point(process.pid, folder, time.monotonic() - began))
        if kill_after is not None and _recorded(folder) >= kill_after:
            process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_POLL_S)
    # What follows the last request is the report, not the run.
    ledger_bytes = (folder / "ledger.jsonl").stat().st_size
    while_sending = [p for p in points if p.command and p.ledger_bytes < ledger_bytes]
    return process.wait(), while_sending


def _memory_point(pid: int, folder: Path, seconds: float) -> MemoryPoint:
    children = sum(_resident_mib(child) for child in _children(pid))
    ledger = folder / "ledger.jsonl"
    return MemoryPoint(
        seconds, ledger.stat().st_size if ledger.exists() else 0, _resident_mib(pid), children
    )


def _recorded(folder: Path) -> int:
    """Trials in listed parts."""
    manifest = folder / "results" / "soak" / "run.json"
    return json.loads(manifest.read_text()).get("recorded", 0) if manifest.exists() else 0


def growth(points: list[MemoryPoint]) -> float:
    """The most memory of the last fifth over that of the second one."""
    fifth = len(points) // 5
    early, late = points[fifth : 2 * fifth], points[-fifth:]
    return max(point.command for point in late) / max(point.command for point in early)


def _attempts(run: Path) -> list[dict[str, Any]]:
    columns = ["trial_id", "client_request_id", "outcome", "status", "billed_usd", "attempt"]
    return ds.dataset(run / "attempts", format="parquet").to_table(columns=columns).to_pylist()


def compared(run: Path, ledger: Path) -> list[str]:
    """What the attempts and the server's ledger disagree about."""
    attempts = _attempts(run)
    entries = [json.loads(line) for line in ledger.read_text().splitlines()]
    by_id = {entry["client_request_id"]: entry for entry in entries}
    problems: list[str] = []
    if len(by_id) != len(entries):
        problems.append(
            f"{len(entries) - len(by_id)} requests reached the server twice under one id"
        )
    sent = {
        row["client_request_id"]: row
        for row in attempts
        if row["outcome"] != Outcome.NOT_SENT.value
    }
    if unlisted := by_id.keys() - sent.keys():
        problems.append(f"{len(unlisted)} requests in the ledger are no attempt")
    # An attempt in doubt may never have reached the server; every other one did.
    phantom = [
        name for name, row in sent.items()
        if name not in by_id and row["outcome"] != Outcome.IN_DOUBT.value
    ]  # fmt: skip
    if phantom:
        problems.append(f"{len(phantom)} attempts are not in the ledger")
    heard = {
        name: Decimal(row["billed_usd"])
        for name, row in sent.items()
        if row["billed_usd"] is not None
    }
    wrong = [
        name
        for name, usd in heard.items()
        if name in by_id and usd != Decimal(str(by_id[name]["billed_usd"]))
    ]
    if wrong:
        problems.append(f"{len(wrong)} attempts have another bill than the ledger")
    problems += _bought_twice(attempts)
    print(_money(entries, heard, sent))
    return problems


def _bought_twice(attempts: list[dict[str, Any]]) -> list[str]:
    answered = Counter(row["trial_id"] for row in attempts if row["status"] == Status.OK.value)
    twice = [trial for trial, count in answered.items() if count > 1]
    return [f"{len(twice)} trials were answered twice"] if twice else []


def _money(
    entries: list[dict[str, Any]], heard: dict[str, Decimal], sent: dict[str, dict[str, Any]]
) -> str:
    in_doubt = unread = Decimal(0)
    for entry in entries:
        name, usd = entry["client_request_id"], Decimal(str(entry["billed_usd"]))
        if name in heard:
            continue
        if name in sent and sent[name]["outcome"] == Outcome.IN_DOUBT.value:
            in_doubt += usd
        else:
            unread += usd
    return (
        f"billed: {sum(heard.values(), Decimal(0)):f} USD heard from the server, {in_doubt:f} for "
        f"attempts in doubt, {unread:f} for other answers without a readable bill"
    )


def main() -> int:
    """Run, compare, print; 1 when something does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=300_000)
    parser.add_argument("--fault-share", type=float, default=0.05)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="keep the run there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        return soak(folder.resolve(), options)


def soak(folder: Path, options: argparse.Namespace) -> int:
    """One soak in ``folder``."""
    ledger, run = folder / "ledger.jsonl", folder / "results" / "soak"
    sessions: list[list[MemoryPoint]] = []
    code = 0
    os.environ.setdefault("OPENAI_API_KEY", "not-a-key")
    with emulator(ledger, options.fault_share) as base_url:
        command = command_line(folder, base_url, options.trials, options.concurrency)
        stops = [options.trials * (n + 1) // (options.kills + 1) for n in range(options.kills)]
        for kill_after in [*stops, None]:
            code, points = watched(command, folder, kill_after)
            sessions.append(points)
            if code not in (0, 1, -signal.SIGKILL):
                print((folder / "stderr.txt").read_text()[-2000:], file=sys.stderr)
    # 1: every trial has its record, and some are errors (as many attempts as allowed all failed).
    problems = [] if code in (0, 1) else [f"the run ended with {code}"]
    problems += compared(run, ledger)
    report = verify_folder(run)
    problems += [str(finding) for finding in report.findings]
    if report.records < options.trials:
        problems.append(f"{report.records} records of {options.trials}")
    longest = max(sessions, key=len)
    ratio = growth(longest)
    if ratio > FLATNESS:
        problems.append("memory grew")
    attempts = Counter(row["outcome"] for row in _attempts(run))
    print(f"{report.records} records, attempts {dict(attempts)}, faults {options.fault_share:.0%}")
    print(
        f"memory: {max(p.command for p in longest):.0f} MiB at most, last fifth over second "
        f"{ratio:.2f}; children {max(p.children for p in longest):.0f} MiB; "
        f"{longest[-1].seconds:.0f} s"
    )
    print("\n".join(f"FAILED: {problem}" for problem in problems) or "holds")
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
