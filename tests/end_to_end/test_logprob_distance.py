"""Log probabilities of the emulator, with planted errors and without."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

import evalharness
from evalharness.cli import main

ARGUMENTS = (
    "run", "experiment=quickstart", "provider=emulator", "sweep=none", "params.temperature=0.9",
    "params.logprobs=true", "params.top_logprobs=8", "repeats=4",
)  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sent(name: str, *arguments: str) -> None:
    assert main([*ARGUMENTS, f"name={name}", *arguments]) == 0


def shown(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    capsys.readouterr()
    assert main([*arguments]) == code
    return capsys.readouterr().out


def distance(capsys: pytest.CaptureFixture[str], a: str, b: str) -> dict[str, Any]:
    (row,) = json.loads(shown(capsys, "compare", a, b, "--logprobs", "--json"))["logprob_distance"]
    return row


def test_a_calm_model_is_equal_in_every_bit(capsys: pytest.CaptureFixture[str]) -> None:
    sent("monday")
    sent("friday", "provider.emulator.seed=5")
    row = distance(capsys, "monday", "friday")
    assert row["verdict"] == "identical"
    assert (row["across"]["largest"], row["across"]["equal"], row["across"]["kl"]) == (
        0.0,
        1.0,
        0.0,
    )
    assert row["across"]["top_differs"]["prompts"] == 0
    assert row["across"]["compared"] > 300
    text = " ".join(shown(capsys, "compare", "monday", "friday", "--logprobs").split())
    assert "every log probability is equal in every bit" in text


def test_noise_is_measured_and_is_no_difference(capsys: pytest.CaptureFixture[str]) -> None:
    """Two normal errors of one size differ by 2/√π of it on average, within and across."""
    sent("monday", "provider.emulator.logprob_noise=0.02")
    sent("friday", "provider.emulator.logprob_noise=0.02", "provider.emulator.seed=5")
    row = distance(capsys, "monday", "friday")
    assert row["verdict"] == "not detected"
    expected = 0.02 * 2 / math.sqrt(math.pi)
    for side in ("own_a", "own_b", "across"):
        low, high = row[side]["mean_ci95"]
        assert low < expected * 1.02
        assert high > expected * 0.9  # none is raised above 0
        assert row[side]["equal"] < 0.05
    low, high = row["excess_ci95"]
    assert low < 0 < high
    (noise,) = json.loads(shown(capsys, "report", "monday", "--json"))["repeat_noise"]
    assert noise["figures"]["mean"] == row["own_b"]["mean"]
    assert 0 < noise["top1_std"] < 0.02
    assert "of repeats log probabilities differ by 0.02" in shown(capsys, "report", "monday")


def test_another_model_is_told_from_noise(capsys: pytest.CaptureFixture[str]) -> None:
    """A planted shift adds to what repeats differ by; page and Python say the same."""
    noise = "provider.emulator.logprob_noise=0.02"
    sent("monday", noise)
    sent("friday", noise, "provider.emulator.logprob_shift=0.1", "provider.emulator.seed=5")
    row = distance(capsys, "monday", "friday")
    assert row["verdict"] == "differs"
    expected = math.hypot(0.1, 0.02 * math.sqrt(2)) * math.sqrt(2 / math.pi)
    excess = expected - 0.02 * 2 / math.sqrt(math.pi)
    low, high = row["excess_ci95"]
    assert low < excess < high
    assert row["across"]["kl"] > 3 * row["own_b"]["kl"]
    assert main(["compare", "monday", "friday", "--logprobs", "--html", "c.html"]) == 0
    assert "further apart than the repeats of each" in Path("c.html").read_text()
    table = evalharness.load(["monday", "friday"]).logprob_distance()
    assert table["verdict"].tolist() == ["differs"]
    assert table["across_mean"].tolist() == [row["across"]["mean"]]


def test_single_outputs_are_not_tested(capsys: pytest.CaptureFixture[str]) -> None:
    sent("monday", "repeats=1")
    sent("friday", "repeats=1", "provider.emulator.logprob_shift=0.1")
    row = distance(capsys, "monday", "friday")
    assert (row["verdict"], row["p"], row["excess"]) == ("not tested", None, None)
    assert row["across"]["mean"] > 0
    assert "repeats=2" in shown(capsys, "compare", "monday", "friday", "--logprobs")


def test_without_logprobs_it_is_not_measurable(capsys: pytest.CaptureFixture[str]) -> None:
    sent("monday")
    sent("friday", "params.logprobs=null", "params.top_logprobs=null")
    row = distance(capsys, "monday", "friday")
    assert row["verdict"] == "not measurable"
    assert row["across"] is None
    assert "params.logprobs" in row["reason"]
    text = " ".join(shown(capsys, "compare", "monday", "friday", "--logprobs").split())
    assert "not measurable here, because" in text
