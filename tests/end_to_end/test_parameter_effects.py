"""Does the provider do what it was asked? Runs of the command against honest and deaf providers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.parameter_gateway import emulator, gateway

PROMPTS = 24
SEEDS = ("+sweep.temperature=[0,1]", "+sweep.seed=[1,2]", "params.max_tokens=12")
LIMITS = (
    "+sweep.top_p=[0.01,1]", "params.temperature=1", "params.max_tokens=9",
    "params.stop=[and,the]", "params.response_format={type: json_object}",
)  # fmt: skip


def effects(folder: Path, base_url: str, *overrides: str) -> dict[str, dict[str, Any]]:
    """Run a sweep over open questions and return the effects of its report by parameter."""
    rows = [{"prompt_id": f"q{i}", "prompt": f"Say something of number {i}."}
            for i in range(PROMPTS)]  # fmt: skip
    (folder / "open.jsonl").write_text("\n".join(map(json.dumps, rows)))
    given = (
        "name=r", "provider=openai_compatible", f"provider.base_url={base_url}",
        "provider.model=m", "sweep=none", "scoring=none", "dataset.path=open.jsonl", "repeats=3",
    )  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "evalharness", "run", *given, *overrides],
        cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    summary = json.loads((folder / "results" / "r" / "summary.json").read_text())
    found = {effect["parameter"]: effect for effect in summary["effects"]}
    names = [e["parameter"] for e in summary["effects"] if e["parameter"] != "temperature=0"]
    assert len(names) == len(set(names)), "one verdict a parameter"
    return found


@pytest.mark.parametrize(
    ("honoured", "loses", "seed", "temperature"),
    [
        ("1", (), "honoured", "honoured"),
        ("0.6", (), "partly honoured", "honoured"),
        ("1", ("temperature", "seed"), "ignored", "ignored"),
    ],
)
def test_seed_and_temperature(
    tmp_path: Path, honoured: str, loses: tuple[str, ...], seed: str, temperature: str
) -> None:
    """The verdicts follow what the provider really does, not what it was sent."""
    with emulator("--seed-honoured", honoured) as url, gateway(url, loses) as base_url:
        found = effects(tmp_path, base_url, *SEEDS)
    assert found["seed"]["verdict"] == seed, found["seed"]
    assert found["temperature"]["verdict"] == temperature, found["temperature"]
    sent = {row["sent"][0]["value"] for row in found["seed"]["evidence"]["rows"]}
    assert sent == {1, 2}


@pytest.mark.parametrize("deaf", [False, True])
def test_limits(tmp_path: Path, deaf: bool) -> None:
    """max_tokens, stop, response_format and top_p, obeyed by an emulator and lost by a gateway."""
    lost = ("max_tokens", "stop", "response_format", "top_p") if deaf else ()
    with emulator("--output-tokens", "40") as url, gateway(url, lost) as base_url:
        found = effects(tmp_path, base_url, *LIMITS)
    expected = "not obeyed" if deaf else "obeyed"
    assert found["max_tokens"]["verdict"] == expected
    assert found["stop"]["verdict"] == expected
    if deaf:
        assert found["response_format"]["verdict"] == "not obeyed"
        assert found["top_p"]["verdict"] == "ignored"
