"""``plan`` as a person types it: ranges, the pilot, what is free, what it takes to see 2 pp."""

from __future__ import annotations

import json
import re
import shlex
import sys
from html import unescape
from pathlib import Path
from typing import Any

import pytest

import evalharness as package
from evalharness.cli import main
from evalharness.report.words.format_numbers import dollars
from tests.cli.emulated_provider import EMULATOR_PRICE


def _arguments(prompts: Path) -> list[str]:
    return [
        "provider=emulator", "dataset=file", f"dataset.path={prompts}", "name=p", "sweep=none",
        "+sweep.temperature=[0.7,1.2]", "scoring=none", "repeats=3", "params.max_tokens=100",
        EMULATOR_PRICE,
    ]  # fmt: skip


def test_a_pilot_narrows_the_range_and_is_not_bought_again(
    in_process: Any, prompts: Path, tmp_path: Path
) -> None:
    """Plan, pilot, run: the pilot's trials are the run's, and the range held the bill."""
    # One at a time, so that the emulator's answers are the same each time: a range may miss.
    arguments = [*_arguments(prompts), "limits.concurrency=1"]
    before = json.loads(in_process("plan", "--json", *arguments).stdout)
    assert before["recorded"] == 0
    assert before["to_send"] == 144
    assert before["cost_usd"]["expected"] is None
    assert before["completion_tokens"]["high"] == 14_400

    piloted = in_process("plan", "--pilot", "5", "--json", *arguments)
    assert piloted.returncode == 0, piloted.stderr
    assert "10 requests sent" in piloted.stderr
    plan: dict[str, Any] = json.loads(piloted.stdout)
    cost = plan["cost_usd"]
    assert plan["recorded"] == 10
    assert [s["observed"] for s in plan["by_setting"]] == [5, 5]
    assert cost["most"] - cost["least"] < before["cost_usd"]["most"] - before["cost_usd"]["least"]
    assert cost["least"] < cost["expected"] < cost["most"] <= plan["worst_case_usd"]
    root = tmp_path / "results" / "p"
    manifest = package.load(root).manifest
    assert manifest.status == "interrupted"
    assert "pilot" in (manifest.reason or "")

    again = in_process("plan", "--pilot", "5", *arguments)
    assert "0 requests sent" in again.stderr
    done = in_process("run", *arguments)
    assert done.returncode == 0, done.stderr
    assert "134 requests sent" in done.stderr
    attempts = package.load(root).attempts().sort_values("admitted_at")
    rest = attempts["billed_usd"].iloc[10:].sum()
    assert cost["least"] <= float(rest) <= cost["most"]

    free = json.loads(in_process("plan", "--json", *arguments).stdout)
    assert free["to_send"] == 0
    assert free["cost_usd"]["most"] == 0
    assert "nothing is left to send" in in_process("plan", *arguments).stdout
    more = json.loads(in_process("plan", "--json", *arguments, "repeats=4").stdout)
    assert more["models"][0]["basis"] == "recorded"
    assert more["prompt_tokens"]["low"] == more["prompt_tokens"]["high"]


def test_the_report_shows_money_and_projects_it(
    in_process: Any, prompts: Path, tmp_path: Path
) -> None:
    """Totals equal the bill exactly where prices agree; --volume multiplies the mean."""
    arguments = [*_arguments(prompts), "provider.emulator.in_doubt=0.05"]
    rows = [json.loads(line) for line in prompts.read_text().splitlines()]
    rows = [
        {**row, "tags": ["first"] if i < 12 else [], "target": "e"} for i, row in enumerate(rows)
    ]
    prompts.write_text("".join(json.dumps(row) + "\n" for row in rows))
    arguments = [a.replace("scoring=none", "scoring=includes") for a in arguments]
    in_process("run", *arguments)
    data = json.loads(in_process("report", "p", "--json", "--volume", "1e6").stdout)
    money = data["money"]
    assert money["total"]["known"] == 144
    assert [row["computed_minus_billed_usd"] for row in money["billed"]] == [0, 0]
    assert [row["reason"] for row in money["billed"]] == [None, None]
    for row, projected in zip(money["settings"], money["projection"]["settings"], strict=True):
        assert projected["usd"] == pytest.approx(1e6 * row["mean_usd"])
        assert row["ci95"][0] < row["mean_usd"] < row["ci95"][1]
    attempts = money["attempts"]
    assert attempts["in_doubt"]["attempts"] == attempts["in_doubt"]["unknown"] > 0
    assert attempts["in_doubt"]["worst_case_usd"] > 0
    page = tmp_path / "p.html"
    volume = ("--volume", "1e6")
    shown = in_process("report", "p", *volume, "--html", str(page)).stdout
    marked = in_process("report", "p", *volume, "--markdown").stdout.replace("\\", "")
    html = unescape(re.sub(r"<[^>]+>", " ", page.read_text()))
    dearest = money["prompts"]["most_expensive"][0]["prompt_id"]
    projected = dollars(money["projection"]["settings"][0]["usd"])
    for text in (shown, marked, html):
        for expected in (
            "spent on nothing", "exactly as computed", "price of all models of emulator: $0.4 in, $0.16 cached",
            "set in pricing.prices, undated", "at 1,000,000 requests", "correct answer",
            f"{projected} [", "1,000 requests", "dearest", "tag", "(no tag)", dearest,
        ):  # fmt: skip
            assert expected in text, (expected, text)


def test_a_price_is_corrected_afterwards_in_one_line(
    in_process: Any, prompts: Path, tmp_path: Path
) -> None:
    """Prices on the report's command line go over the run's own; a line beats a file."""
    in_process("run", *_arguments(prompts), "dataset.limit=4")

    def total(*more: str) -> float:
        return json.loads(in_process("report", "p", *more, "--json").stdout)["money"]["total"][
            "total_usd"
        ]

    price = "price_usd_per_mtok: {prompt: 0, completion: %s}"
    line = f'pricing.prices=[{{model: "*", {price % 2}}}]'
    file = tmp_path / "corrected.yaml"
    file.write_text(f'as_of: 2026-01-02\nprices: [{{model: "*", {price % 1}}}]\n')
    assert total() not in (0, None)
    once = total("--pricing", str(file))
    assert total(line, "--pricing", str(file)) == pytest.approx(2 * once)
    shown = in_process("report", "p", "--pricing", str(file)).stdout
    told = "price of all models: $0 in, $1 out per million tokens; corrected.yaml of 2026-01-02, no source"
    assert told in " ".join(shown.split())
    refused = in_process("report", "p", "pricing.prices=7")
    assert refused.returncode == 2
    assert "not a list" in refused.stderr


def test_a_pilot_that_reached_its_budget_says_how_to_go_on(
    in_process: Any, prompts: Path, tmp_path: Path
) -> None:
    """The commands to type hold a new limit in the place of the old one, and the first works."""
    arguments = _arguments(prompts)
    stopped = in_process("plan", "--pilot", "5", "--yes", *arguments, "limits.max_cost_usd=0.0003")
    assert stopped.returncode == 4
    again = stopped.stderr.splitlines()[-1]
    assert again.startswith("to go on with the pilot: evalharness plan --pilot 5 --yes ")
    assert again.endswith(" limits.max_cost_usd=NEW")
    assert "max_cost_usd=0.0003" not in again
    assert "--pilot" not in stopped.stdout, "a pilot is not offered to who has just sent one"
    assert stopped.stdout.splitlines()[-1].endswith(" limits.max_cost_usd=NEW")
    manifest = package.load(tmp_path / "results" / "p").manifest
    assert (manifest.status, "max_cost_usd" in (manifest.reason or "")) == ("stopped", True)
    command = again.removeprefix("to go on with the pilot: ").replace("NEW", "1")
    assert in_process(*shlex.split(command)[1:]).returncode == 0
    assert len(package.load(tmp_path / "results" / "p").records()) == 10


def test_one_repeat_is_no_plural(in_process: Any, prompts: Path) -> None:
    """Numbers agree with their nouns."""
    one = in_process(
        "plan", *_arguments(prompts), "repeats=1", "dataset.limit=1", "sweep.temperature=[1]"
    )
    assert one.stdout.startswith("p: 1 prompt × 1 setting × 1 repeat = 1 trial\n")


def test_help_is_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    """`plan --help` is about plan, and says where overrides are explained."""
    with pytest.raises(SystemExit) as ended:
        main(["plan", "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    for text in ("usage: evalharness plan", "--pilot N", "--from RUN", "evalharness run --help"):
        assert text in shown


def test_detect_says_what_a_difference_takes(in_process: Any, prompts: Path) -> None:
    """--detect adds prompts, repeats and dollars; a value that is no difference is refused."""
    arguments = _arguments(prompts)
    planned = in_process("plan", "--detect", "2pp", "--json", *arguments)
    assert planned.returncode == 0, planned.stderr
    detect = json.loads(planned.stdout)["detect"]
    assert detect["difference"] == 0.02
    assert detect["options"][0]["prompts"] > 24
    assert not detect["options"][0]["enough"]
    shown = in_process("plan", "--detect", "2pp", *arguments)
    assert "\n".join(detect["lines"]) in shown.stdout
    wrong = in_process("plan", "--detect", "lots", *arguments)
    assert wrong.returncode == 2
    assert "--detect" in wrong.stderr
    alone = in_process("plan", "--from", "nowhere", *arguments)
    assert alone.returncode == 2
    assert "--from is for --detect" in alone.stderr
    missing = in_process("plan", "--detect", "2pp", "--from", "nowhere", *arguments)
    assert missing.returncode == 2
    assert "nowhere" in missing.stderr


def test_a_missing_price_is_named_with_the_line_to_add(in_process: Any, prompts: Path) -> None:
    """An unknown price is unknown, said so, and not 0."""
    arguments = [a for a in _arguments(prompts) if not a.startswith("pricing")]
    arguments += ["provider.name=elsewhere", "provider.model=nobody-knows"]
    planned = in_process("plan", "--json", *arguments)
    facts = json.loads(planned.stdout)
    assert facts["cost_usd"] is None
    assert facts["unpriced"][0]["model"] == "nobody-knows"
    text = in_process("plan", *arguments).stdout
    assert "unknown, a price is missing" in text
    assert "price_usd_per_mtok" in text


def test_a_model_without_a_price_stands_beside_one_with_a_price(
    in_process: Any, prompts: Path
) -> None:
    """Its cost is its bill, marked, never 0, and the bill is compared where both are known."""
    arguments = [a for a in _arguments(prompts) if not a.startswith(("pricing", "+sweep"))]
    price = "price_usd_per_mtok: {prompt: 0.4, cached: 0.16, completion: 1.2, reasoning: 4}"
    arguments += [
        "+sweep.model=[qwen-plus,other]", "provider.name=elsewhere",
        f"pricing.prices=[{{model: qwen-plus, {price}}}]",
    ]  # fmt: skip
    assert in_process("run", *arguments).returncode == 0
    shown = in_process("report", "p").stdout
    said = " ".join(shown.split())
    assert (
        "for 144 records of known cost; the cost of 72 of these is what the provider bill" in said
    )
    assert "for 144 records, exactly as computed for 72" in shown
    assert re.search(r"^other at elsewhere .* \$\S+ billed +\$.* billed$", shown, re.MULTILINE)
    assert "as pricing.prices=[{provider: 'elsewhere', model: 'other'" in said
    assert max(len(line) for line in shown.splitlines() if " billed" in line) <= 100


def test_a_pilot_of_answers_all_of_one_length_is_extrapolated(
    in_process: Any, prompts: Path
) -> None:
    """Where every answer seen has the same length the range is one, and the plan still prints."""
    arguments = [*_arguments(prompts), "provider.emulator.output_tokens=7"]
    piloted = in_process("plan", "--pilot", "2", "--json", *arguments)
    assert piloted.returncode == 0, piloted.stderr
    tokens = json.loads(piloted.stdout)["completion_tokens"]
    assert tokens["low"] <= tokens["expected"] == 7 * 140 <= tokens["high"]
    assert in_process("plan", *arguments).returncode == 0


def test_a_plan_needs_no_key_and_ends_with_the_command(in_process: Any, prompts: Path) -> None:
    """What sends nothing asks for no key; the last line is the run to type, quoted."""
    arguments = [
        "provider=openai_compatible", "provider.base_url=http://127.0.0.1:9/v1",
        "provider.model=a model", "provider.api_key_env=NO_SUCH_KEY", f"dataset.path={prompts}",
        "dataset.limit=1", "name=k",
    ]  # fmt: skip
    done = in_process("plan", *arguments)
    assert done.returncode == 0, done.stderr
    last = done.stdout.splitlines()[-1]
    said, _, command = last.partition(": ")
    assert said == "to send what is left"
    assert shlex.split(command) == ["evalharness", "run", *arguments]
    for sending in (("plan", "--pilot", "1"), ("run",)):
        refused = in_process(*sending, *arguments)
        assert refused.returncode == 2
        assert "NO_SUCH_KEY holds no key" in refused.stderr


def test_a_plan_needs_no_engine(in_process: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The local model's llama.cpp is not installed: the plan is made, and says what is missing."""
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    done = in_process("plan", "dataset.limit=2")
    assert done.returncode == 0
    assert "to send: 36" in done.stdout
    assert "before it can run: the local model needs llama.cpp" in done.stderr
    assert "-m pip install xllamacpp" in done.stderr
    refused = in_process("plan", "dataset.limit=2", "--pilot", "1")
    assert (refused.returncode, refused.stdout) == (2, "")
