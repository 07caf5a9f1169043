"""How long a resumed run takes to know what is left, and how long verification takes.

    python benchmarks/resume.py [--trials 1000000] [--missing 1000] [--folder DIR]

A run folder of that many recorded trials is made with the store's own writers (an answer of 200
bytes each; every ``trials/missing``-th trial is left out). Then a fresh process does what
``evalharness run`` does before it sends: opens the store, saves the plan, reads what is recorded,
tells the throttle what was sent before, and draws the first trial that is left. Another one
verifies the folder. Both say seconds and the most memory they held. The counts are checked: what
is left must be what was left out.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from evalharness.config.models import RunConfig, parse_run_config
from evalharness.planning.build import build_plan
from evalharness.planning.plan import Plan
from evalharness.records import (
    AttemptResult,
    Intent,
    Outcome,
    Reply,
    Status,
    Trial,
    Usage,
)
from evalharness.runner.resume_limits import restore_limits
from evalharness.store.folder.writer import RunStore
from evalharness.store.parts import seal
from evalharness.store.parts.seal import Batch
from evalharness.store.parts.setting_columns import columns_by_setting
from evalharness.throttle.clock import SystemClock
from evalharness.throttle.limiter import EndpointLimiter

SETTINGS, REPEATS = 10, 10
TEXT = "The capital of that country is a city on a river, known for its markets. " * 3


def configuration(folder: Path, trials: int) -> RunConfig:
    """Ten temperatures × ten repeats over as many prompts as it takes."""
    path = folder / "prompts.jsonl"
    count = max(1, trials // (SETTINGS * REPEATS))
    rows = [{"id": f"prompt-{n}", "prompt": f"Capital of country {n}?"} for n in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return parse_run_config(
        {
            "name": "resume",
            "provider": {"kind": "remote", "name": "canned", "model": "m", "base_url": "http://x"},
            "dataset": {"path": str(path)},
            "params": {"max_tokens": 64},
            "sweep": {"temperature": [n / 10 for n in range(SETTINGS)]},
            "repeats": REPEATS,
        }
    )


def plan_of(config: RunConfig) -> Plan:
    """The plan of that configuration, as the command makes it."""
    return build_plan([config], {"canned": "http://x"}, root=Path.cwd())


def recorded(trial: Trial, body: bytes) -> AttemptResult:
    """An answer to a trial at its first attempt."""
    now = 1_700_000_000_000_000_000 + trial.position * 1_000_000
    intent = Intent(
        trial_id=trial.trial_id, prompt_id=trial.prompt.prompt_id,
        setting_id=trial.setting.setting_id, repeat=trial.repeat, position=trial.position,
        attempt=1, client_request_id=f"evh-{trial.trial_id}.1", admitted_at_ns=now, in_flight=8,
    )  # fmt: skip
    reply = Reply(
        outcome=Outcome.DELIVERED, status=Status.OK, http_status=200, text=TEXT,
        finish_reason="stop", response_id=f"chatcmpl-{trial.position}", latency_s=0.5,
        usage=Usage(prompt_tokens=12, completion_tokens=40, total_tokens=52),
        sent_at_ns=now, response_json=json.dumps({"id": trial.position, "text": TEXT}),
    )  # fmt: skip
    return AttemptResult(intent, reply, final=True, scheduled_at_ns=now, queue_s=0.0, body=body)


def save_plan(store: RunStore, plan: Plan) -> None:
    """Say what is going to be asked, as the command does."""
    store.save_plan(
        config_yaml="", prompts=plan.prompts, digests=plan.digests, settings=plan.settings,
        planned=len(plan),
    )  # fmt: skip


def make(root: Path, plan: Plan, *, every: int) -> int:
    """Record all trials but every ``every``-th, in parts as a run seals them; how many."""
    store = RunStore(root, code_version="bench")
    save_plan(store, plan)
    settings = columns_by_setting(plan.settings)
    kept = (t for t in plan.trials() if t.position % every)
    count = 0
    for number, trials in enumerate(_blocks(kept), start=1):
        results = {t.trial_id: recorded(t, plan.body(t)) for t in trials}
        batch = Batch(results, {key: [value] for key, value in results.items()}, {})
        sealed = seal.write_parts(store.folder.root, number, batch, settings)
        assert sealed is not None
        seal.list_parts(store.folder, sealed)
        count += len(results)
    store.folder.save_manifest(status="interrupted")
    store.close()
    return count


def _blocks(trials: Iterator[Trial]) -> Iterator[tuple[Trial, ...]]:
    while block := tuple(islice(trials, seal.SEAL_TRIALS)):
        yield block


def measure(root: Path, config: RunConfig) -> dict[str, Any]:
    """Decide what is left; seconds of each step and the most memory, MiB."""
    steps: dict[str, Any] = {}

    def step(name: str, began: float) -> float:
        now = time.perf_counter()
        steps[name] = round(now - began, 2)
        return now

    at = time.perf_counter()
    plan = plan_of(config)
    at = begin = step("plan_s", at)
    before = memory_mib()
    store = RunStore(root, code_version="bench")
    at = step("open_s", at)
    save_plan(store, plan)
    at = step("save_plan_s", at)
    done = plan.done_map(store.done_keys())
    at = step("done_s", at)
    limits = config.limits
    gate = EndpointLimiter("canned", limits, plan.profile("canned"), SystemClock())
    restore_limits(root, {"canned": gate}, limits.max_wait_s)
    assert gate.policy.ever_reached
    at = step("recall_s", at)
    next(plan.trials(done), None)
    step("first_trial_s", at)
    step("decide_s", begin)
    store.close()
    return {
        "planned": len(plan), "left": int((~done).sum()), **steps, "memory_before_mib": before,
        "memory_mib": memory_mib(),
    }  # fmt: skip


def verify(root: Path) -> dict[str, Any]:
    """Verify the folder; seconds and the most memory, MiB."""
    from evalharness.store.parts.verify import verify_folder

    began = time.perf_counter()
    report = verify_folder(root)
    assert report.is_sound, report.findings
    return {
        "records": report.records, "verify_s": round(time.perf_counter() - began, 2),
        "memory_mib": memory_mib(),
    }  # fmt: skip


def memory_mib() -> int:
    """The most this process has held, MiB.

    From the kernel's own status page: ``getrusage`` begins with what the parent held.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


def measured_apart(what: str, folder: Path, trials: int) -> dict[str, Any]:
    """Run one of the measurements in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.resume", "--only", what, "--folder", str(folder)]
    done = subprocess.run(
        [*command, "--trials", str(trials)], check=True, stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[1],
    )  # fmt: skip
    return json.loads(done.stdout)


def main() -> None:
    """Make the folder, measure, and print one JSON object a measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1_000_000)
    parser.add_argument("--missing", type=int, default=1_000, help="trials left out, about")
    parser.add_argument("--folder", type=Path, help="keep the run folder here, and use it again")
    parser.add_argument("--only", choices=("decide", "verify"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        config = configuration(options.folder, options.trials)
        root = options.folder / config.name
        found = measure(root, config) if options.only == "decide" else verify(root)
        print(json.dumps(found))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        config = configuration(folder, options.trials)
        plan = plan_of(config)
        left = len(range(0, len(plan), max(2, len(plan) // options.missing)))
        if not (folder / config.name).exists():
            began = time.perf_counter()
            count = make(folder / config.name, plan, every=max(2, len(plan) // options.missing))
            print(json.dumps({"made": count, "seconds": round(time.perf_counter() - began, 1)}))
        decided = measured_apart("decide", folder, options.trials)
        print(json.dumps(decided))
        assert decided["left"] == left
        verified = measured_apart("verify", folder, options.trials)
        print(json.dumps(verified))
        assert verified["records"] == len(plan) - left


if __name__ == "__main__":
    main()
