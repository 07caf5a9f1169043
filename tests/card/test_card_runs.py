"""``experiment=card`` on servers whose manners are planted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from evalharness.cli import main
from evalharness.config.package_data import package_data_dir

Card = Callable[..., dict[str, str]]

YES = {
    "temperature_0", "seed", "temperature", "top_p", "max_tokens", "stop", "n", "logprobs",
    "json_schema", "tool_required", "tool_none", "tool_named", "stream", "usage",
}  # fmt: skip


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Card:
    """Runs the experiment as ``r``; gives the verdicts of its card."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str, code: int = 0) -> dict[str, str]:
        assert main(["run", "experiment=card", "provider=emulator", "name=r", *arguments]) == code
        content = json.loads(Path("results/r/card.json").read_text("utf-8"))
        return {row["check"]: row["verdict"] for row in content["cards"][0]["checks"]}

    return command


def test_a_server_that_honours_everything(card: Card, capsys: pytest.CaptureFixture[str]) -> None:
    assert card() == {**dict.fromkeys(YES, "yes"), "rate_limit_headers": "no"}
    capsys.readouterr()
    assert main(["card", "r", "--html", "card.html"]) == 0
    page = capsys.readouterr().out
    assert page == Path("results/r/card.md").read_text("utf-8")
    assert "| seed honoured | yes | 96 of 96 pairs with one seed have the same text" in page
    assert "<td>seed honoured</td><td>yes</td>" in Path("card.html").read_text("utf-8")


def test_a_server_that_ignores_everything(card: Card) -> None:
    ignored = "seed,temperature,top_p,max_tokens,stop,n,logprobs,response_format,tool_choice"
    dials = ("tool_call_rate=0", "usage_noise=1", f"ignores=[{ignored}]")
    verdicts = card(*(f"provider.emulator.{dial}" for dial in dials))
    unmeasurable = {"tool_none", "stream"}
    assert {check for check, verdict in verdicts.items() if verdict == "no"} == (
        YES - unmeasurable | {"rate_limit_headers"}
    )
    assert {verdicts[check] for check in unmeasurable} == {"not measurable"}


def test_refused_parameters_do_not_stop_the_run(card: Card) -> None:
    verdicts = card("provider.emulator.refuses=[temperature,logprobs]", code=1)
    refused = {"temperature_0", "seed", "temperature", "stream", "logprobs"}
    assert {check for check, verdict in verdicts.items() if verdict == "refused"} == refused
    assert {verdicts[check] for check in YES - refused} == {"yes"}


def test_what_the_protocol_lacks_is_not_sent(
    card: Card, capsys: pytest.CaptureFixture[str]
) -> None:
    verdicts = card(
        "provider.protocol=messages", "provider.emulator.rpm=100000",
        "provider.emulator.ignores=[tool_choice]",
    )  # fmt: skip
    assert "left out, 16 of the rows: `seed` cannot be sent" in capsys.readouterr().err
    lacking = {"seed", "n", "logprobs"}
    assert {check for check, verdict in verdicts.items() if verdict == "not offered"} == lacking
    assert verdicts["rate_limit_headers"] == "yes"
    assert (verdicts["tool_none"], verdicts["tool_named"]) == ("no", "partly")


def test_a_stream_that_differs(card: Card) -> None:
    verdicts = card("provider.emulator.stream_noise=1")
    assert (verdicts["stream"], verdicts["temperature_0"]) == ("no", "yes")


def test_several_cards_are_one_table_and_an_unfinished_one_says_so(
    card: Card, capsys: pytest.CaptureFixture[str]
) -> None:
    card("dataset.limit=48")  # seed-12 is missing
    arguments = ["run", "experiment=card", "provider=emulator", "name=s", "provider.name=other"]
    assert main([*arguments, "repeats=1"]) == 0
    capsys.readouterr()
    assert main(["card", "r", "s"]) == 0
    shown = capsys.readouterr()
    assert "|  | emulator | other |" in shown.out
    assert "| seed honoured | not measurable | not measurable |" in shown.out
    assert "not all requests are sent; without them: seed honoured" in shown.err


def test_a_run_of_other_prompts_has_no_card(
    card: Card, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["run", "experiment=quickstart", "provider=emulator", "name=q"]) == 0
    capsys.readouterr()
    assert main(["card", "q"]) == 2
    assert "run `q` is no run of experiment=card" in capsys.readouterr().err
    assert main(["card", "nowhere"]) == 2
    assert "no run `nowhere`" in capsys.readouterr().err


def test_prompts_that_were_changed_are_counted(
    card: Card, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = (package_data_dir("datasets") / "card.jsonl").read_text("utf-8")
    Path("card.jsonl").write_text(rows.replace("Invent an island", "Draw an island"), "utf-8")
    card()
    capsys.readouterr()
    assert main(["card", "r"]) == 0
    page = capsys.readouterr().out
    assert "- protocol: version 1, 11 prompts changed, hash `unknown`" in page
    assert "11 prompts are not those of the protocol" in page
