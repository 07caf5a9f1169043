"""Conversations under load through the real command: arrivals, figures by turn, and what shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import evalharness
from tests.durability.processes import ForkServer


def test_a_load_of_conversations_is_reported_by_turn(
    fork_server: ForkServer, emulate: Any, tmp_path: Path
) -> None:
    rows = [{"id": f"c{i}", "turns": [f"{i}: one?", f"{i}: two?", "Three?"]} for i in range(8)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with emulate("--ttft-ms", "5") as emulator:
        done = fork_server.run(
            tmp_path, "run", "name=talk", *emulator.provider, "dataset.path=rows.jsonl",
            "sweep=none", "scoring=none", "load=poisson", "load.rate=20", "load.sessions=16",
            "load.think_s={distribution: exponential, mean_s: 0.05}", "params.stream=true",
            "params.max_tokens=12",
        )  # fmt: skip
    assert done.code == 0, done.err
    run = evalharness.load(tmp_path / "results" / "talk")
    records = run.table("records").to_pylist()
    assert len(records) == 48
    report = json.loads(fork_server.run(tmp_path, "report", "talk", "--json").out)
    (setting,) = report["turns"]
    for turn in setting["turns"]:
        own = [r for r in records if r["prompt_id"].endswith(f".{turn['turn']}")]
        assert turn["answers"] == turn["latency_s"]["n"] == len(own) == 16
        assert turn["conversations"] == 8
        assert turn["ttft_s"]["p50"] == pytest.approx(np.median([r["ttft_s"] for r in own]))
        tokens = [r["prompt_tokens"] for r in own]
        assert turn["prompt_tokens"]["mean"] == pytest.approx(np.mean(tokens))
        cached = sum(r["cached_tokens"] for r in own) / sum(tokens)
        assert turn["cached_share"]["mean"] == pytest.approx(cached)
    # The emulator has the messages of the turn before in its cache, and the last turn is longest.
    shares = [turn["cached_share"]["mean"] for turn in setting["turns"]]
    assert shares[2] > shares[1] > 0
    (point,) = report["load"]["points"]
    assert point["sessions"]["arrived"] == 16
    assert point["sessions"]["requested_per_s"] == 20
    assert point["requests"]["scheduled"] == point["requests"]["delivered"] == 48
    assert "16 sessions arrived" in done.out
    shown = fork_server.run(tmp_path, "show", "talk", "c3.2").out
    assert shown.index("one?") < shown.index("(the answer that came)") < shown.index("two?")
    assert "c3.1, c3.2, c3.3" in fork_server.run(tmp_path, "show", "talk", "c3").err
    lines = fork_server.run(tmp_path, "export", "talk", "--format", "jsonl").out.splitlines()
    turns = {(row["conversation"], row["turn"]) for row in map(json.loads, lines)}
    assert turns == {(f"c{i}", k) for i in range(8) for k in (1, 2, 3)}
