"""Several servers behind one name: each has its figures, and one that dies costs nothing."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import evalharness as package
from tests.cli.conftest import CommandOutput

COMMON = ("provider=openai_compatible", "provider.model=qwen-plus", "sweep=none", "scoring=none")


Command = Callable[..., CommandOutput]


@contextlib.contextmanager
def server(*options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A server in a process of its own; its address, and the process."""
    command = [sys.executable, "-m", "evalharness.emulator", "--port", "0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["base_url"], process
    finally:
        process.kill()
        process.communicate()


@contextlib.contextmanager
def emulator(*options: str) -> Iterator[str]:
    """The address of a server."""
    with server(*options) as (url, _):
        yield url


@contextlib.contextmanager
def mortal_emulator(ledger: Path, requests: int) -> Iterator[str]:
    """A server that is killed once it has answered some requests, which its ledger tells."""
    os.mkfifo(ledger)

    def kill_in_time() -> None:
        with ledger.open() as lines:
            for _, _ in zip(range(requests), lines, strict=False):
                pass
            process.kill()

    watch = threading.Thread(target=kill_in_time)
    watch.start()
    with server("--ttft-ms", "20", "--ledger", str(ledger)) as (url, process):
        yield url
        watch.join()


def addresses(*urls: str) -> str:
    return f"provider.base_urls=[{','.join(urls)}]"


def test_each_has_its_figures(in_process: Command, tmp_path: Path) -> None:
    with emulator("--ttft-ms", "5") as fast, emulator("--ttft-ms", "60") as slow:
        done = in_process(
            "run", *COMMON, addresses(fast, slow), "name=two", "repeats=4",
            "server_metrics={urls: {server: auto}, interval_s: 0.2}",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        again = in_process("run", *COMMON, addresses(slow, fast), "name=two", "repeats=4")
    assert "nothing to send" in again.stderr  # the order of addresses is no other endpoint
    attempts = package.load(tmp_path / "results" / "two").attempts()
    assert attempts.groupby("replica", observed=True).size().to_dict() == {fast: 24, slow: 24}
    report = json.loads(in_process("report", "two", "--json").stdout)
    rows = {row["replica"]: row for row in report["replicas"]["servers"]}
    assert rows.keys() == {fast, slow}
    assert rows[slow]["latency_s"]["p50"] > rows[fast]["latency_s"]["p50"] + 0.04
    assert {row["failed"] for row in rows.values()} == {0}
    assert f"{slow} is slower than {fast}" in " ".join(done.stdout.split())
    assert "Servers behind one name" in (tmp_path / "results" / "two" / "report.html").read_text()
    assert {row["endpoint"] for row in report["server_metrics"]} == {"server-1", "server-2"}


def test_a_server_that_is_gone_costs_nothing_but_attempts(
    in_process: Command, tmp_path: Path
) -> None:
    with emulator() as gone:
        pass
    with emulator() as there:
        done = in_process("run", *COMMON, addresses(gone, there), "name=half", "repeats=3")
    assert done.returncode == 0, done.stderr
    run = package.load(tmp_path / "results" / "half")
    assert "error" not in set(run.records()["status"])
    assert set(run.records()["replica"]) == {there}
    assert len(run.attempts()) > len(run.records())
    report = json.loads(in_process("report", "half", "--json").stdout)
    rows = {row["replica"]: row for row in report["replicas"]["servers"]}
    assert rows[gone]["failed"] == rows[gone]["attempts"] > 0
    assert rows[gone]["answers"] == 0
    assert f"{gone} failed 3 times in a row" in done.stderr
    assert f"{gone} answered none of its" in " ".join(done.stdout.split())


def test_what_a_killed_server_had_goes_to_the_others(in_process: Command, tmp_path: Path) -> None:
    with emulator("--ttft-ms", "20") as there, mortal_emulator(tmp_path / "fifo", 8) as dies:
        done = in_process(
            "run", *COMMON, addresses(dies, there), "name=killed", "repeats=12",
            "limits.concurrency=4",
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    run = package.load(tmp_path / "results" / "killed")
    records, attempts = run.records(), run.attempts()
    assert len(records) == len(attempts[attempts["final"]]) == 144
    assert "error" not in set(records["status"])
    assert 0 < (records["replica"] == dies).sum() < 72
    failed = attempts[attempts["status"] == "error"]
    assert set(failed["replica"]) == {dies}
    assert failed["trial_id"].isin(records.loc[records["replica"] == there, "trial_id"]).all()


def test_a_load_is_spread_by_speed_and_past_what_is_down(
    in_process: Command, tmp_path: Path
) -> None:
    with emulator() as gone:
        pass
    with emulator("--ttft-ms", "10") as fast, emulator("--ttft-ms", "120") as slow:
        done = in_process(
            "run", *COMMON, addresses(gone, slow, fast), "name=least", "load=closed",
            "load.concurrency=6", "load.requests=240", "load.warmup_s=0", "params.stream=true",
            "provider.routing=least_in_flight",
        )  # fmt: skip
    assert done.returncode == 1, done.stderr  # a benchmark sends nothing again
    report = json.loads(in_process("report", "least", "--json").stdout)
    rows = {row["replica"]: row for row in report["replicas"]["servers"]}
    # Round robin would send a third to each, and what fails at once would draw nearly all.
    assert rows[gone]["attempts"] < 0.15 * 240
    assert rows[slow]["attempts"] < 0.7 * rows[fast]["attempts"]
    [point] = report["load"]["points"]
    assert sum(row["attempts"] for row in rows.values()) == point["requests"]["scheduled"]
    in_flight = sum(row["in_flight"] for row in rows.values())
    assert in_flight == pytest.approx(point["concurrency"]["mean"], rel=1e-6)
    tokens = sum(row["output_tokens_per_s"] for row in rows.values())
    assert tokens == pytest.approx(point["output_tokens_per_s"], rel=1e-6)
    [difference] = report["replicas"]["differences"]
    assert (difference["faster"], difference["slower"]) == (fast, slow)


def test_conversations_find_their_beginnings_in_the_cache(
    in_process: Command, tmp_path: Path
) -> None:
    cached: dict[str, Any] = {}
    for affinity in ("session", "none"):
        with emulator() as first, emulator() as second:
            done = in_process(
                "run", *COMMON, addresses(first, second), f"name={affinity}", "repeats=1",
                "dataset.path=conversations.jsonl", f"provider.affinity={affinity}",
                "dataset.limit=1",  # so that without affinity its turns go to and fro
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
        run = package.load(tmp_path / "results" / affinity)
        turns = run.records().merge(run.prompts(), on="prompt_id").sort_values("turn")
        cached[affinity] = turns["cached_tokens"].tolist()
        assert turns["replica"].nunique() == (1 if affinity == "session" else 2)
    assert cached["session"][0] == cached["none"][0] == cached["none"][1] == 0
    assert min(cached["session"][1:]) > 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["provider.base_url=http://127.0.0.1:1/v1"], "provider.base_url=null"),
        (["provider.base_urls=[http://127.0.0.1:1/v1,http://127.0.0.1:1/v1/]"], "twice"),
        (["provider.base_urls=[http://127.0.0.1:1/v1,https://127.0.0.1:2/v1]"], "mixes http and"),
        (
            ["provider.base_urls=[]", "provider.base_url=http://127.0.0.1:1/v1",
             "provider.routing=least_in_flight"],
            "there is one",
        ),
        (["provider.base_urls=[]"], "`provider.base_url` has no value"),
        (
            ["provider.base_urls=[]", "provider.base_url=http://127.0.0.1:1/v1",
             "provider.affinity=none"],
            "there is one",
        ),
        (["execution=batch", "provider.profile.batch={form: openai}"], "several addresses"),
        (["provider.routing=random"], "round_robin"),
        (["execution=ray"], "several addresses"),
    ],
)  # fmt: skip
def test_what_cannot_be_routed(in_process: Command, arguments: list[str], said: str) -> None:
    both = addresses("http://127.0.0.1:1/v1", "http://127.0.0.1:2/v1")
    done = in_process("plan", *COMMON, both, "name=no", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
