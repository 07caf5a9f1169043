"""Replays of a trace and of a run, on the emulator: times, lengths, shared beginnings."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalharness.cli import main
from evalharness.config.package_data import package_data_dir
from evalharness.store.folder.load_points_file import read_measurements
from evalharness.store.folder.run import Run

TRACE = (
    "dataset=trace", "dataset.workload.trace.path=traces/example.jsonl", "load=replay",
    "provider=emulator", "sweep=none", "repeats=1", "load.max_delay_s=60",
)  # fmt: skip
AGAIN = ("load=replay", "load.from=first", "repeats=1", "sweep=none", "provider=emulator",
         "load.max_delay_s=60", "load.min_rate_share=0.01")  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows_of_trace() -> list[dict[str, Any]]:
    text = (package_data_dir("datasets") / "traces" / "example.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def due(name: str, measurement: int = 1) -> list[tuple[str, float]]:
    """The requests of a load point and when they were due, in seconds from its anchor."""
    run = Run.open(name)
    anchor = next(m for m in read_measurements(run.root) if m.number == measurement).anchor_ns or 0
    found = [
        (row["prompt_id"], row["scheduled_at"].value / 1e9 - anchor / 1e9)
        for row in run.attempts().to_dict("records")
        if row["measurement"] == measurement and row["attempt"] == 1
    ]
    return sorted(found, key=lambda row: row[1])


def test_a_trace_is_sent_at_its_times_with_its_lengths_and_blocks(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Twice, at two speeds: with a salt no load point is served from the cache of another."""
    arguments = (
        *TRACE, "sweep.load.speed=[40,20]", "name=t", "+provider.emulator.cache_block_tokens=16",
        "dataset.workload.salt=true", "dataset.workload.exact_output=true",
        "load.min_rate_share=0.01",
    )  # fmt: skip
    assert main(["run", *arguments]) == 0
    assert "60 of 60 requests from 0 s to 27.424 s" in capsys.readouterr().out
    trace = rows_of_trace()
    for number, speed in ((1, 40), (2, 20)):
        times = [at for _, at in due("t", number)]
        wanted = [row["timestamp"] / 1e3 / speed for row in trace]
        assert np.allclose(times, wanted, atol=2e-6)
    records = Run.open("t").table("records").to_pylist()
    for number in (1, 2):
        own = sorted(
            (r for r in records if r["measurement"] == number), key=lambda r: r["prompt_id"]
        )
        for record, row in zip(own, trace, strict=True):
            assert abs(record["prompt_tokens"] / row["input_length"] - 1) < 0.02
            assert record["completion_tokens"] == row["output_length"]
        # Of a cache of blocks of 16 tokens: what the ids say, less the chat template's rounding.
        seen: set[int] = set()
        reused = 0
        for row in trace:
            hit = next(
                (n for n, i in enumerate(row["hash_ids"]) if i not in seen), len(row["hash_ids"])
            )
            reused += min(512 * hit, row["input_length"])
            seen.update(row["hash_ids"])
        cached = sum(record["cached_tokens"] for record in own)
        assert abs(cached / reused - 1) < 0.04
    report = report_json("t", capsys)
    assert report["replay"]["source"]["requests"] == 60
    assert [p["speed"] for p in report["replay"]["points"]] == [40, 20]


def report_json(name: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["report", name, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_batch_run_is_sent_again_when_it_was_due(capsys: pytest.CaptureFixture[str]) -> None:
    """Rows, order and gaps; warm-up and retries are in no replay of the replay."""
    assert main(["run", "provider=emulator", "sweep=none", "repeats=3", "name=first",
                 "+provider.emulator.ttft_ms=20", "limits.concurrency=2"]) == 0  # fmt: skip
    attempts = Run.open("first").attempts().to_dict("records")
    sent = sorted((r["scheduled_at"].value, r["prompt_id"]) for r in attempts)
    assert main(["plan", *AGAIN, "name=again", "load.speed=2"]) == 0
    assert "run first: 36 requests when they were due there" in capsys.readouterr().out
    assert main(["run", *AGAIN, "name=again", "load.speed=2"]) == 0
    again = due("again")
    assert [prompt for prompt, _ in again] == [prompt for _, prompt in sent]
    wanted = [(at - sent[0][0]) / 2e9 for at, _ in sent]
    assert np.allclose([at for _, at in again], wanted, atol=2e-6)
    # A part of its load point, as a run of its own; then the same command has nothing to send.
    part = [*AGAIN, "load.from=again:1", "name=part", "load.requests=10", "load.speed=3"]
    assert main(["run", *part]) == 0
    assert [prompt for prompt, _ in due("part")] == [prompt for _, prompt in sent[:10]]
    source = report_json("part", capsys)["replay"]["source"]
    assert (source["kind"], source["measurement"], source["requests"]) == ("run", 1, 36)
    assert main(["run", *part]) == 0
    assert "nothing to send" in capsys.readouterr().err


def test_what_cannot_be_replayed_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"prompt_id": f"p{i}", "text": "x"} for i in range(3)]
    Path("theirs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["import", "theirs.jsonl", "theirs"]) == 0
    assert main(["run", "provider=emulator", "sweep=none", "repeats=1", "name=first"]) == 0
    shutil.copy(package_data_dir("datasets") / "quickstart.jsonl", "mine.jsonl")
    text = Path("mine.jsonl").read_text()
    Path("mine.jsonl").write_text(text.replace("France", "Spain"))
    cases: list[tuple[list[str], str]] = [
        (["load.from=nobody"], "no run `nobody`"),
        (["load.from=theirs"], "the run has no requests with a time"),
        (["load.from=first:2"], "no finished measurement 2"),
        (["load.from=first", "name=first"], "is the run `first` itself"),
        (["dataset=file", "dataset.path=mine.jsonl"], "has other content in the dataset mine.jsonl"),
        (["dataset=quickstart", "dataset.limit=3"], "is not in the dataset"),
        (["dataset=replayed", "dataset.limit=3"], "selects rows of the run that is replayed"),
        (["load.from=null"], "needs `load.column`, a trace or `load.from`"),
        (["load.column=at"], "has times, and so has `load.column`"),
        (["load.from=null", "load.column=x", "dataset=replayed"], "and none is"),
        (["load.from=null", "dataset=trace", "dataset.workload.trace.path=no.jsonl"], "no file no.jsonl"),
    ]  # fmt: skip
    for arguments, said in cases:
        capsys.readouterr()
        assert main(["run", *AGAIN, "name=bad", *arguments]) == 2
        assert said in capsys.readouterr().err
        assert not Path("results/bad").exists()


def test_conversations_are_not_replayed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "provider=emulator", "dataset=file", "dataset.path=conversations.jsonl",
                 "sweep=none", "repeats=1", "name=first"]) == 0  # fmt: skip
    assert main(["run", *AGAIN, "name=bad"]) == 2
    assert "the run has conversations" in capsys.readouterr().err
