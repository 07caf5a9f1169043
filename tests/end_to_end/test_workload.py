"""A synthetic workload, from the measured words to the report, on the emulator."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from evalharness.cli import main
from evalharness.store.folder.run import Run

ARGUMENTS = (
    "dataset=chat", "dataset.workload.requests=40", "provider=emulator", "sweep=none", "repeats=1",
    "dataset.workload.prompt_tokens=lognormal 300 0.5 80..1500", "name=w",
)  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def report(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["report", "w", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["workload_lengths"]
    return row


def test_prompts_are_as_long_as_asked(capsys: pytest.CaptureFixture[str]) -> None:
    """By the server's own usage; the run that measures is kept, and not repeated."""
    assert main(["run", *ARGUMENTS]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Lengths asked for and measured" in shown
    row = report(capsys)
    low, high = row["prompt"]["error_ci95"]
    assert low <= row["prompt"]["error"] <= high
    assert abs(row["prompt"]["error"]) < 0.01
    assert row["prompt"]["within"] > 0.9
    assert row["prompt"]["requests"] == 40
    assert row["output"]["measured"] <= row["output"]["wanted"]
    words = Run.open("w-tokens").table("records").num_rows
    assert words >= 6
    capsys.readouterr()
    assert main(["run", *ARGUMENTS]) == 0
    assert capsys.readouterr().err.count("nothing to send") == 1
    assert Run.open("w-tokens").table("records").num_rows == words


def test_outputs_are_exactly_as_long_as_asked(capsys: pytest.CaptureFixture[str]) -> None:
    exact = ("dataset.workload.exact_output=true", "dataset.workload.output_tokens=normal 250 40")
    assert main(["run", *ARGUMENTS, *exact]) == 0
    row = report(capsys)
    assert (row["output"]["error"], row["output"]["within"]) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("provider.profile.exact_output=[]", "emulator is not known to take a field"),
        ("provider.protocol=responses", "emulator is not known to take a field"),
        ("dataset.workload.output_tokens=null", "no length of outputs is set"),
    ],
)
def test_an_exact_length_that_cannot_be_asked_for(
    capsys: pytest.CaptureFixture[str], argument: str, words: str
) -> None:
    """It is refused before anything is sent: an output of another length would mislead."""
    assert main(["run", *ARGUMENTS, "dataset.workload.exact_output=true", argument]) == 2
    assert words in capsys.readouterr().err
    assert not Path("results").exists()


def test_without_calibration_it_is_a_guess(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", *ARGUMENTS, "dataset.workload.calibrate=false"]) == 0
    assert not Path("results/w-tokens").exists()
    assert abs(report(capsys)["prompt"]["error"]) > 0.02


def test_nothing_is_sent_where_something_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", *ARGUMENTS, "dataset.workload.max_context=100"]) == 2
    assert "more than the context of 100 (dataset.workload.max_context)" in capsys.readouterr().err
    assert not Path("results").exists()


def test_a_server_without_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """It is said what to type; the guess is not taken silently."""
    streamed = ("params.stream=true", "provider.profile.stream_usage=false")
    assert main(["run", *ARGUMENTS, *streamed]) == 2
    assert "does not say how many tokens prompts have" in capsys.readouterr().err
    assert not Path("results/w").exists()


def test_a_plan_knows_the_tokens(capsys: pytest.CaptureFixture[str]) -> None:
    """Also before anything was measured; the run needs as many."""
    assert main(["plan", *ARGUMENTS, "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)["prompt_tokens"]
    assert main(["run", *ARGUMENTS]) == 0
    prompt = report(capsys)["prompt"]
    assert planned["expected"] == pytest.approx(prompt["wanted"] * 40)
    assert planned["low"] <= prompt["measured"] * 40 <= planned["high"]


def test_a_plan_knows_outputs_of_an_exact_length(capsys: pytest.CaptureFixture[str]) -> None:
    exact = ("dataset.workload.exact_output=true", "dataset.workload.output_tokens=normal 90 20")
    assert main(["plan", *ARGUMENTS, *exact, "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)["completion_tokens"]
    assert main(["run", *ARGUMENTS, *exact]) == 0
    needed = report(capsys)["output"]["measured"] * 40
    assert {round(tokens) for tokens in planned.values()} == {round(needed)}


def test_salted_prompts_are_in_no_cache() -> None:
    """Also where rows are sent again, in warm-up and later rounds of a load."""
    load = ("load=closed", "load.concurrency=8", "load.requests=80", "load.warmup_requests=10")
    for name, salt in (("w", "true"), ("x", "false")):
        assert main(["run", *ARGUMENTS, *load, f"dataset.workload.salt={salt}", f"name={name}"]) < 2
    cached = [Run.open(n).table("records")["cached_tokens"].to_pylist() for n in ("w", "x")]
    assert len(cached[0]) == len(cached[1]) == 90
    assert not any(cached[0])
    assert any(cached[1])


def test_counts_of_another_setting_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """A name whose run was deleted may have measured another model, or another system prompt."""
    long = " ".join(["Answer in one short sentence."] * 5)
    assert main(["run", *ARGUMENTS, f"dataset.system='{long}'"]) == 0
    shutil.rmtree("results/w")
    assert main(["run", *ARGUMENTS]) == 0
    assert abs(report(capsys)["prompt"]["error"]) < 0.01


def test_another_workload_is_another_run(capsys: pytest.CaptureFixture[str]) -> None:
    """Rows have no ids that could be typed, so only a new name is offered."""
    assert main(["run", *ARGUMENTS]) == 0
    capsys.readouterr()
    assert main(["run", *ARGUMENTS, "dataset.workload.seed=1"]) == 2
    shown = capsys.readouterr().err
    assert "changed since run" in shown
    assert "new id" not in shown


def test_load_and_workload(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(
            [
                "run",
                *ARGUMENTS,
                "load=poisson",
                "load.rate=200",
                "load.min_rate_share=0.01",
                "load.max_delay_s=60",
            ]
        )
        == 0
    )
    assert report(capsys)["prompt"]["requests"] == 40
    capsys.readouterr()
    assert main(["plan", *ARGUMENTS, "load=poisson", "load.rate=200"]) == 0
