"""``experiment=vendor_check``: a vendor with planted faults, and one without, against a reference."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import evalharness
from evalharness.cli import main

ARGUMENTS = (
    "run", "experiment=vendor_check", "provider=emulator", "provider.emulator.tool_call_rate=0.6",
    "params.temperature=0.7",
)  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sent(name: str, *arguments: str) -> None:
    assert main([*ARGUMENTS, f"name={name}", *arguments]) == 0


def checks(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert main(["compare", *arguments, "--tool-calls", "--json"]) == 0
    return json.loads(capsys.readouterr().out)["tool_call_check"]


def test_faults_are_found_and_an_equal_vendor_is_not_blamed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sent("ref")
    sent("good", "provider.emulator.seed=3")
    sent(
        "bad", "provider.emulator.seed=4", "provider.emulator.tool_bad_arguments=0.2",
        "provider.emulator.tool_unknown_name=0.1", "provider.emulator.tool_finish_stop=0.3",
    )  # fmt: skip
    good, bad = checks(capsys, "ref", "good", "bad")
    assert (good["verdict"], bad["verdict"]) == ("not detected", "differs")
    assert good["prompts"] == 40
    low, high = good["across"]["f1_ci95"]
    assert low < 0.6 < high  # two independent decisions at 0.6 agree so
    assert good["own"] == bad["own"]
    assert good["side"]["schema_accuracy"] == 1.0
    side = bad["side"]
    low, high = side["schema_accuracy_ci95"]
    assert low < 0.9 * 0.8 < high
    assert side["unknown_names"] > 0
    assert side["unreadable"] > 0
    assert side["calls_without_reason"] > 10
    assert side["finish_reasons"]["tool_calls"] + side["finish_reasons"]["stop"] == 160
    capsys.readouterr()
    assert main(["compare", "ref", "bad", "--tool-calls", "--html", "c.html"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Does it call tools as the reference does?" in shown
    assert "calls otherwise" in shown
    assert "calls otherwise" in Path("c.html").read_text()
    table = evalharness.load(["ref", "bad"]).tool_calls()
    assert table["across_f1"].tolist() == [bad["across"]["f1"]]


@pytest.mark.parametrize("protocol", ["responses", "messages"])
def test_other_protocols(capsys: pytest.CaptureFixture[str], protocol: str) -> None:
    """The same decisions in another form are the same."""
    sent("ref", "repeats=1", "params.temperature=0")
    sent("other", "repeats=1", "params.temperature=0", f"provider.protocol={protocol}")
    (row,) = checks(capsys, "ref", "other")
    assert (row["across"]["f1"], row["side"]["schema_accuracy"]) == (1.0, 1.0)
    assert (row["verdict"], row["own"], row["decisions_p"]) == ("not detected", None, None)


def test_what_cannot_be_measured(capsys: pytest.CaptureFixture[str]) -> None:
    sent("ref", "provider.emulator.tool_call_rate=0")
    sent("vendor")
    (row,) = checks(capsys, "ref", "vendor")
    assert (row["verdict"], row["reason"]) == ("not measurable", "the reference never calls a tool")
    plain = ("run", "experiment=quickstart", "provider=emulator", "sweep=none")
    for name in ("one", "two"):
        assert main([*plain, f"name={name}"]) == 0
    (row,) = checks(capsys, "one", "two")
    assert row["reason"] == "no request with tools was answered on both sides"
    assert main(["compare", "one", "two", "--tool-calls"]) == 0
    assert "not measurable here, because no request" in " ".join(capsys.readouterr().out.split())
