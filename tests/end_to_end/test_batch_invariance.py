"""``experiment=batch_invariance`` on a server that is calm, depends on its load, or is unstable."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import evalharness as package
from evalharness.cli import main

ARGUMENTS = (
    "run", "experiment=batch_invariance", "provider=emulator", "provider.emulator.ttft_ms=20",
    "dataset.limit=28", "sweep.load={2 in flight: null, 32 in flight: null}",
    # A busy machine makes a measurement invalid; these tests are about what is said of texts.
    "load.max_delay_s=60", "load.min_rate_share=0.01",
)  # fmt: skip

Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the experiment as ``r`` and returns what the command printed."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str, code: int = 0) -> str:
        capsys.readouterr()
        assert main([*ARGUMENTS, "name=r", *arguments]) == code
        return "".join(capsys.readouterr())

    return command


def report(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["report", "r", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_calm_server_shows_no_divergence(
    run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    shown = run()
    assert "8 in flight: no divergence from alone in 24 prompts × 2 repeats" in shown
    data = report(capsys)
    (row,) = data["batch_invariance"]
    assert [c["condition"] for c in row["conditions"]] == ["8 in flight", "6 others beside"]
    for condition in row["conditions"]:
        assert condition["verdict"] == "no divergence"
        assert condition["divergence"]["rate_below"] == pytest.approx(1 - 0.05 ** (1 / 24))
        assert condition["between_blocks"] is True
        assert condition["first_difference"] is None
    assert row["alone"]["parted"] == 0
    assert "No divergence was seen with" in row["statement"]
    # The background was sent, and is in no figure.
    points = {p["label"]: p for p in data["load"]["points"]}
    beside = points["closed, 2 in flight, 6 beside"]
    assert beside["requests"]["background"] > 48
    assert beside["requests"]["sent"] == 48
    assert beside["concurrency"]["requested"] == 8
    assert sum(s["trials"] for s in data["settings"]) == 4 * 48
    records = package.load(tmp_path / "results" / "r").records()
    background = records[records["phase"] == "background"]["prompt_id"]
    assert background.str.startswith("background-").all()
    assert main(["verify", "r"]) == 0
    (worst, *_) = data["quality_under_load"]
    assert (worst["base"], worst["condition"], worst["difference"]) == ("alone", "8 in flight", 0.0)
    assert "Score under load: 0.0 pp" in " ".join(shown.split())
    assert main(["compare", "r", "--by", "load", "--baseline", "alone"]) == 0


def test_a_server_that_depends_on_its_load_is_found(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    run("provider.emulator.load_noise=0.06")
    (row,) = report(capsys)["batch_invariance"]
    busy = row["conditions"][0]
    assert (row["alone"]["parted"], busy["verdict"]) == (0, "parts")
    assert busy["excess_ci95"][0] > 0
    assert busy["first_difference"]["words"]["prompts"] == busy["divergence"]["parted"] > 4
    assert "With 8 in flight, " in row["statement"]
    assert main(["report", "r", "--html", "r.html", "--markdown"]) == 0
    page = Path("r.html").read_text("utf-8")
    for text in (capsys.readouterr().out, page):
        assert "Batch invariance of qwen-plus, measured on " in text


def test_a_server_that_is_unstable_alone_is_not_blamed_on_load(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    run("provider.emulator.t0_noise=0.4")
    (row,) = report(capsys)["batch_invariance"]
    assert row["alone"]["parted"] > 5
    assert {c["verdict"] for c in row["conditions"]} == {"as alone"}


def test_a_server_that_is_replaced_meanwhile_is_not_blamed_on_load(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another backend answers from the 61st request on, whatever the load."""
    shown = run(
        "provider.emulator.fingerprints=[a,b,b,b,b,b,b]", "provider.emulator.fingerprint_every=60",
        "provider.emulator.fingerprint_changes_text=true",
    )  # fmt: skip
    (row,) = report(capsys)["batch_invariance"]
    assert (row["alone"]["rate"], row["within"]["rate"]) == (1.0, 0.0)
    assert row["blocks_p_adjusted"] < 0.05
    assert {c["verdict"] for c in row["conditions"]} == {"unclear"}
    assert "the blocks differ" in " ".join(shown.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["params.temperature=null"], "because the requests were sent without a temperature"),
        (["dataset.limit=2"], "because 1 prompt answered alone and under this load"),
    ],
)
def test_what_is_not_measurable_says_why(run: Run, arguments: list[str], said: str) -> None:
    shown = " ".join(run(*arguments).split())
    assert f"not measurable here, {said}" in shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["dataset=quickstart", "dataset.limit=null"], "needs rows for the other requests"),
        (["dataset.where=\"'background' in tags\"", "dataset.limit=null"], "none is measured"),
        (["sweep.load={8 in flight: 3}"], "is an object of fields, and others are lists"),
        (["sweep.load={x: {concurency: 3}}"], "unknown configuration key `sweep.load.concurency`"),
        (["sweep.load={x: {rate: 3}}"], "`load.rate` means nothing to load.arrival=closed"),
        (["provider.profile.refuses={temperature: null}"], "temperature"),
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(
    run: Run, arguments: list[str], said: str, tmp_path: Path
) -> None:
    assert said in run(*arguments, code=2)
    assert not (tmp_path / "results" / "r").exists()
