"""``evalharness report --together``: the money of several runs."""

from __future__ import annotations

import json
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from evalharness.cli import main
from tests.imported_run import Rows, write_run

PRICES = """prices:
- {model: m, price_usd_per_mtok: {prompt: 1, completion: 2}}
- {model: m, valid_from: 2026-11-03, price_usd_per_mtok: {prompt: 2, completion: 4}}
"""


@pytest.fixture
def week(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Four days of three prompts: 200 µ$ a record, from the third day on 400; one of no usage."""
    monkeypatch.chdir(tmp_path)
    Path("prices.yaml").write_text(PRICES)
    for day in range(1, 5):
        rows: Rows = [
            {
                "prompt_id": f"p{prompt}", "model": "m", "provider": "x", "text": "t",
                "sent_at": f"2026-11-0{day}T12:00:00Z", "prompt_tokens": 100,
                "completion_tokens": 50, "total_tokens": 150, "cluster": f"c{prompt > 0}",
            }
            for prompt in range(3)
        ]  # fmt: skip
        write_run(rows, f"d{day}")
    write_run(
        [{"prompt_id": "q", "model": "m", "text": "t", "sent_at": "2026-11-04T23:00:00Z"}], "e"
    )
    return ["d3", "d1", "d2", "d4", "e"]


def together(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    capsys.readouterr()
    command = ["report", *arguments, "--together", "--pricing", "prices.yaml", "--json"]
    assert main(command) == 0
    return json.loads(capsys.readouterr().out, parse_float=Decimal)["money_together"]


def test_every_split_adds_up_to_the_total(
    week: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    money = together(capsys, *week)
    assert money["total"]["total_usd"] == Decimal("0.0036")  # 6 × $0.0002 + 6 × $0.0004
    assert (money["total"]["records"], money["total"]["known"]) == (13, 12)
    for kind in ("runs", "models", "days"):
        assert sum(row["total_usd"] or 0 for row in money[kind]) == Decimal("0.0036"), kind
        assert sum(row["records"] for row in money[kind]) == 13, kind
    days = {row["name"]: row["total_usd"] for row in money["days"]}
    assert days["2026-11-02"] == Decimal("0.0006")
    assert days["2026-11-03"] == Decimal("0.0012")
    grouped = together(capsys, *week[:4], "--group-by", "cluster")["fields"]
    assert {row["name"]: row["records"] for row in grouped} == {"cTrue": 8, "cFalse": 4}
    (unknown,) = [row for row in money["runs"] if row["name"] == "e"]
    assert unknown["total_usd"] is None


def test_a_run_without_the_field_counts_under_null(
    week: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """``e`` has no cluster: its record belongs to none; a field of no run is refused."""
    grouped = together(capsys, *week, "--group-by", "cluster")["fields"]
    assert {row["name"]: row["records"] for row in grouped} == {"cTrue": 8, "cFalse": 4, None: 1}
    arguments = ["report", *week, "--together", "--group-by"]
    assert main([*arguments, "claster"]) == 2
    said = capsys.readouterr().err
    assert "--group-by claster: no prompt of the runs has this field" in said
    assert "did you mean cluster?" in said


def test_tags_that_the_newest_run_lacks_split_the_money_alone(
    week: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Runs whose tags differ are of one plan; the report has the tags of the newest."""
    tagged: Rows = [{**row, "tags": ["a"]} for row in night("n0", range(1))]
    write_run(tagged, "n0")
    write_run(night("n1", range(1)), "n1")
    data = whole_report(capsys, "n0", "n1", "--together", "--group-by", "tags")
    fields = data["money_together"]["fields"]
    assert {row["name"]: row["records"] for row in fields} == {"a": 8, None: 8}
    assert data["groups"] is None
    assert any(
        "No prompt of n1, the newest run, has the field tags" in n for n in data["run"]["notes"]
    )


def test_a_price_that_changes_is_said(week: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    money = together(capsys, *week[:4])
    before, after = money["prices"]
    assert (before["last_day"], after["first_day"]) == ("2026-11-02", "2026-11-03")
    assert (before["changed"], after["changed"]) == (False, True)
    assert before["total_usd"] + after["total_usd"] == money["total"]["total_usd"]
    arguments = ["report", *week[:4], "--together", "--pricing", "prices.yaml"]
    assert main([*arguments, "--html", "m.html"]) == 0
    said = "The price of m changed on 2026-11-03"
    assert said in capsys.readouterr().out
    assert said in Path("m.html").read_text("utf-8")
    assert main([*arguments, "--markdown"]) == 0
    assert "| by day |" in capsys.readouterr().out


def test_a_price_changes_nothing_for_records_with_a_cost_of_their_own(
    week: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Two days with a cost in the file, before and after a price changes: it is none of theirs."""
    for name, day, own in (("o1", 1, 2), ("o2", 4, 2), ("half", 4, 1)):
        rows: Rows = [
            {
                "prompt_id": f"p{prompt}", "model": "m", "text": "t", "prompt_tokens": 100,
                "completion_tokens": 50, "sent_at": f"2026-11-0{day}T12:00:00Z",
                **({"cost_usd": 0.5} if prompt < own else {}),
            }
            for prompt in range(2)
        ]  # fmt: skip
        write_run(rows, name)
    money = together(capsys, "o1", "o2")
    assert money["total"]["total_usd"] == 2
    assert money["prices"] == []
    assert main(["report", "o1", "o2", "--together", "--pricing", "prices.yaml"]) == 0
    assert "The price of m changed" not in capsys.readouterr().out
    (period,) = together(capsys, "o1", "half")["prices"]
    assert (period["records"], period["total_usd"]) == (1, Decimal("0.0004"))


def test_records_without_a_date_are_said_to_have_no_price_of_a_day(
    week: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The costs of some come from their file, those of others are unknown: no price is told."""
    own: Rows = [{"prompt_id": "p", "model": "none", "text": "t", "cost_usd": 0.5}]
    write_run(own, "own")
    assert main(["report", "own", "d1", "--together", "--pricing", "prices.yaml"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "1 record without a date, in no day and no span of a price" in said
    assert "price of today" not in said


def test_a_split_is_headed_by_its_field_and_words_stand_to_the_left(
    week: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["report", *week, "--together", "--pricing", "prices.yaml"]
    assert main([*arguments, "--group-by", "cluster", "--html", "m.html"]) == 0
    said = capsys.readouterr().out
    assert "by cluster" in said
    assert "by field" not in said
    page = Path("m.html").read_text("utf-8")
    for heading in ("days", "price"):
        assert f'<th scope="col">{heading}</th>' in page, heading
    assert '<th scope="col" class="number">records</th>' in page
    assert "<td>2026-11-01 to 2026-11-02</td>" in page
    assert "table.money td:not(.number) { text-align: left; }" in page
    lines = said.splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith("price of"))
    assert lines[at].index("days") == lines[at + 1].index("2026-11-")
    assert main([*arguments, "--markdown"]) == 0
    said = capsys.readouterr().out
    assert "| price of | days | price | records | cost |\n|---|---|---|---:|---:|\n" in said


def test_the_same_run_is_not_counted_twice(
    week: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "d1", "results/d1", "--together"]) == 2
    assert "the run `d1` is given twice" in capsys.readouterr().err


# --- one report --------------------------------------------------------------------------------

TWO_NIGHTS = {"n0": range(3), "n1": range(2)}


def night(name: str, repeats: range, first: int = 0, *, target: str = "t1") -> Rows:
    """Repeats of four prompts at two temperatures; texts and scores depend on night and repeat."""
    return [
        {
            "prompt_id": f"p{prompt}", "model": "m", "provider": "x", "temperature": temperature,
            "repeat": first + repeat, "text": f"t{(prompt + repeat * len(name) * 7) % 3}",
            "target": target, "score": float((prompt * repeat + int(name[1:])) % 2),
            "sent_at": f"2026-11-0{2 + int(name[1:])}T12:00:{repeat:02}Z", "latency_s": 0.1 + repeat,
            "prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
            "status": "error" if name == "n1" and prompt == 2 and repeat == 1 else "ok",
        }
        for prompt in range(4)
        for temperature in (0.0, 1.0)
        for repeat in repeats
    ]  # fmt: skip


def whole_report(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["report", *arguments, "--pricing", "prices.yaml", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_runs_of_one_plan_are_reported_as_one_run(
    week: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Every figure is that of a run with the records of both."""
    for name, repeats in TWO_NIGHTS.items():
        write_run(night(name, repeats), name)
    write_run([*night("n0", range(3)), *night("n1", range(2), 3)], "both")
    pooled = whole_report(capsys, "n1", "n0", "--together")
    whole = whole_report(capsys, "both")
    own = {"run", "pooled", "provenance", "extensions"}
    for key in whole.keys() - own:
        assert pooled[key] == whole[key], key
    assert whole["pooled"] is None
    for key in ("records", "settings", "prompts", "prompts_with_target", "records_outside_plan"):
        assert pooled["run"][key] == whole["run"][key], key
    assert [
        (each["run"], each["first_repeat"], each["last_repeat"], each["records"])
        for each in pooled["pooled"]
    ] == [("n0", 0, 2, 24), ("n1", 3, 4, 16)]
    assert pooled["not_pooled"] is None
    paid = sum(row["total_usd"] for row in pooled["pooled"])
    assert paid == pytest.approx(pooled["money_together"]["total"]["total_usd"])


def test_one_report_names_its_runs_and_a_changed_price(
    week: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for name, repeats in TWO_NIGHTS.items():
        write_run(night(name, repeats), name)
    arguments = ["report", "n*", "--together", "--pricing", "prices.yaml"]
    assert main([*arguments, "--html", "m.html"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    page = Path("m.html").read_text("utf-8")
    for said in ("2 runs of one plan as one", "The price of m changed on 2026-11-03", "n0 + n1"):
        assert said in text, said
        assert said in page, said
    assert "<td>2026-11-03</td><td>3–4</td>" in page
    assert main([*arguments, "--markdown"]) == 0
    markdown = capsys.readouterr().out
    assert "| n1 | 2026-11-03 | 3–4 | 16 |" in markdown
    # The time between the nights is no time of sending.
    assert main(["report", "n0", "--html", "one.html"]) == 0
    assert "sending took" in Path("one.html").read_text("utf-8").lower()
    for shown in (page, markdown):
        assert "sending took" not in shown.lower()


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (
            [row for row in night("n2", range(2)) if row["temperature"]],
            "n2 has other settings than n0",
        ),
        (night("n2", range(2))[:8], "n2 has other prompts, targets or clusters than n0"),
        (night("n2", range(2), target="t2"), "n2 has other prompts, targets or clusters than n0"),
    ],
)
def test_runs_of_unlike_plans_have_their_money_added_up(
    week: list[str], rows: Rows, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(night("n0", range(3)), "n0")
    write_run(rows, "n2")
    data = whole_report(capsys, "n0", "n2", "--together")
    assert why in data["not_pooled"]
    assert data.keys() == {"money_together", "not_pooled"}
    arguments = ["report", "n0", "n2", "--together", "--html", "m.html"]
    assert main(arguments) == 0
    assert why in " ".join(capsys.readouterr().out.split())
    assert why in Path("m.html").read_text("utf-8")
    assert main([*arguments, "--volume", "1000"]) == 2
    assert why in capsys.readouterr().err


def test_one_run_is_no_several(week: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "d[1]", "--together"]) == 2
    said = capsys.readouterr().err
    assert "evalharness report --together needs two runs or more, and `d1` is one" in said
    assert "evalharness report d1 is about one" in said


def test_a_copy_of_a_run_is_no_second_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its records would count twice."""
    monkeypatch.chdir(tmp_path)
    write_run([{"prompt_id": "p", "text": "yes"}], "one")
    shutil.copytree("results/one", "results/copy")
    for command in (["report", "one", "copy", "--together"], ["trend", "one", "copy"]):
        assert main(command) == 2
        assert "`copy` is a copy of `one`: all records are the same" in capsys.readouterr().err


def test_a_file_imported_twice_is_refused_and_a_repeat_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Trials and times tell; a repeat has other times, or, by rough times, other texts."""
    monkeypatch.chdir(tmp_path)
    rows: Rows = [
        {"prompt_id": f"p{n}", "text": "yes", "sent_at": "2026-11-01T12:00:00Z"} for n in range(2)
    ]
    write_run(rows, "one")
    write_run(rows[::-1], "again")
    write_run([{**row, "score": 1} for row in rows], "scored")
    write_run([{**row, "sent_at": "2026-11-02T12:00:00Z"} for row in rows], "later")
    write_run([{**row, "text": "no"} for row in rows], "other")
    for name in ("again", "scored"):
        for command in (["report", "one", name, "--together"], ["trend", "one", name]):
            assert main(command) == 2
            assert f"`{name}` has the records of `one`" in capsys.readouterr().err
    for command in (["report", "--together"], ["trend"]):
        assert main([command[0], "one", "later", "other", *command[1:]]) == 0
