"""``evalharness trend``: figures over dates, and whether they changed."""

from __future__ import annotations

import json
import math
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from evalharness.cli import main
from tests.imported_run import Rows, write_run

START = datetime(2026, 11, 1, 2, tzinfo=UTC)


def night(number: int, *, worse: bool = False, prompts: range = range(40)) -> Rows:
    """Three repeats a prompt; texts are the prompt's own, or one of three wrong ones."""
    rng = random.Random(number)
    rows: Rows = []
    for prompt in prompts:
        for repeat in range(3):
            right = rng.random() < (0.5 if worse else 0.95)
            rows.append(
                {
                    "prompt_id": f"p{prompt}",
                    "repeat": repeat,
                    "model": "m",
                    "text": f"right {prompt}" if right else f"wrong {rng.randrange(3)}",
                    "score": float(right),
                    "latency_s": rng.lognormvariate(0, 0.3),
                    "sent_at": (START + timedelta(days=number)).isoformat(),
                }
            )
    return rows


@pytest.fixture
def nights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Eight nights of which the last three are worse, imported in another order."""
    monkeypatch.chdir(tmp_path)
    names = [f"n{number}" for number in range(8)]
    for number in (5, 0, 7, 1, 2, 3, 4, 6):
        write_run(night(number, worse=number >= 5), f"n{number}")
    return names


def trend(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["trend", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)["trend"]


def series_of(data: dict[str, Any], metric: str) -> dict[str, Any]:
    (found,) = [each for each in data["series"] if each["metric"] == metric]
    return found


def test_a_change_is_said_with_its_night_and_size(
    nights: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    data = trend(capsys, *reversed(nights))
    assert data["runs"] == nights
    score = series_of(data, "score")
    assert score["verdict"] == "changed"
    assert score["change"]["run"] == "n5"
    assert score["change"]["ci95"][0] < score["change"]["difference"] < score["change"]["ci95"][1]
    assert score["change"]["difference"] < -0.3
    assert series_of(data, "latency_s")["verdict"] == "no change shown"
    assert all(point["ci95"] for point in score["points"])


def test_texts_are_compared_with_the_reference_run(
    nights: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    data = trend(capsys, *nights)
    assert data["reference"] == "n0"
    same = series_of(data, "same_text_across")
    assert [point["run"] for point in same["points"]] == nights[1:]
    assert same["points"][0]["value"] > 0.8 > 0.6 > same["points"][-1]["value"]
    assert trend(capsys, *nights, "--reference", "n7")["reference"] == "n7"


def test_console_and_page_name_the_change(
    nights: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["trend", *nights, "--html", "t.html"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "Score: changed from n5 (2026-11-06) on" in text
    assert "Latency: no change shown over 8 runs" in text
    page = Path("t.html").read_text("utf-8")
    assert "Score: changed from n5 (2026-11-06) on" in page
    assert '<th scope="col">date</th>' in page
    assert "<td>2026-11-06</td>" in page


def test_few_runs_have_figures_and_no_verdict(
    nights: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    score = series_of(trend(capsys, *nights[:4]), "score")
    assert score["verdict"] == "too few runs"
    assert score["p"] is score["change"] is None
    assert len(score["points"]) == 4


def test_a_tag_gives_its_runs(nights: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for name in nights[2:]:
        Path("results", name, "notes.json").write_text('{"note": null, "tags": ["nightly"]}')
    assert trend(capsys, "--tag", "nightly")["runs"] == nights[2:]
    assert main(["trend", "--tag", "weekly"]) == 2
    assert "no run under results/ has the tag `weekly`" in capsys.readouterr().err


def test_runs_without_a_common_prompt_are_said_first(
    nights: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(6):
        write_run(night(number, prompts=range(100 * number, 100 * number + 9)), f"other{number}")
    capsys.readouterr()
    assert main(["trend", *(f"other{number}" for number in range(6))]) == 0
    assert capsys.readouterr().out.startswith("No prompt is in two of the runs")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "evalharness trend needs runs, and none is named"),
        (["n0"], "trend needs two runs or more"),
        (["n0", "results/n0"], "the run `n0` is given twice"),
        (["n0", "n1", "--reference", "n2"], "--reference n2: it is not among the runs"),
    ],
)
def test_wrong_runs_are_refused(
    nights: list[str], arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["trend", *arguments]) == 2
    assert message in capsys.readouterr().err


def logprobs(chance: float, other: str = "No") -> str:
    """Logprobs of one token ``Yes`` of this chance; the other one is listed, too."""
    tokens = [("Yes", math.log(chance)), (other, math.log(1 - chance))]
    top = [{"token": token, "logprob": value} for token, value in tokens]
    return json.dumps({"content": [{**top[0], "top_logprobs": top}]})


def test_a_changed_model_shows_in_the_first_token_before_it_shows_in_texts(
    nights: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Six prompts, asked once: no text changes, and the verdict names the night."""
    for number in range(8):
        rng = random.Random(number)
        rows: Rows = [
            {
                "prompt_id": f"p{prompt}", "model": "m", "text": "Yes",
                "sent_at": (START + timedelta(days=number)).isoformat(),
                "logprobs_json": logprobs(
                    (0.8 if number >= 6 else 0.9) + 0.005 * prompt + rng.gauss(0, 0.001)
                ),
            }
            for prompt in range(6)
        ]  # fmt: skip
        write_run(rows, f"l{number}")
    data = trend(capsys, *(f"l{number}" for number in range(8)))
    track = series_of(data, "first_token_logprob_across")
    assert (track["verdict"], track["change"]["run"]) == ("changed", "l6")
    assert [point["run"] for point in track["points"]] == [f"l{n}" for n in range(1, 8)]
    for point, chance in zip(track["points"], [0.9] * 5 + [0.8] * 2, strict=True):
        assert point["value"] == pytest.approx(math.log(chance + 0.0125), abs=0.002)
        assert point["ci95"][0] < point["value"] < point["ci95"][1] < 0
    assert series_of(data, "same_text_across")["verdict"] == "no change shown"
    assert main(["trend", "l*"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "Log-probability of the reference run's first token: changed from l6" in text


def test_runs_without_dates_are_named(
    nights: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{key: value for key, value in row.items() if key != "sent_at"} for row in night(9)]
    write_run(rows, "undated")
    remarks = trend(capsys, *nights, "undated")["remarks"]
    assert len(remarks) == 1
    assert "No date in the records of undated: they stand where they were imported" in remarks[0]
    assert "sent_at" in remarks[0]


def test_a_damaged_note_is_said(nights: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Else its run would be missing among those of the tag without a word."""
    Path("results/n0/notes.json").write_text("{")
    capsys.readouterr()
    assert main(["trend", "--tag", "nightly"]) != 0
    assert "results/n0/notes.json is damaged" in capsys.readouterr().err


def test_a_tag_of_one_run_names_what_to_type(
    nights: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["note", "n3", "--tag", "weekly"]) == 0
    capsys.readouterr()
    assert main(["trend", "--tag", "weekly"]) == 2
    said = capsys.readouterr().err
    assert "evalharness trend needs two runs or more, and only `n3` has the tag `weekly`" in said
    assert "evalharness trend BEFORE n3" in said
    assert main(["trend", "--tag", "nightly"]) == 2
    assert "tags here: weekly" in capsys.readouterr().err


def errors_of(number: int, prompts: range = range(40)) -> Rows:
    """A night on which every request failed."""
    return [
        row | {"text": None, "score": None, "status": "error"}
        for row in night(number, prompts=prompts)
    ]


def test_an_outage_is_a_series(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Half of all requests fail from night 6 on, though every answer is as it was."""
    monkeypatch.chdir(tmp_path)
    for number in range(12):
        rows = night(number)
        if number >= 6:
            rows = [row for i, row in enumerate(rows) if i % 2] + errors_of(number)[::2]
        write_run(rows, f"n{number:02}")
    failed = series_of(trend(capsys, "n*"), "error_share")
    assert (failed["verdict"], failed["change"]["run"]) == ("changed", "n06")
    assert main(["trend", "n*"]) == 0
    assert "Failed trials: changed from n06" in capsys.readouterr().out


def test_a_night_of_errors_stands_in_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With its share of failed trials, and nothing else; without an error there is no such column."""
    monkeypatch.chdir(tmp_path)
    for number in range(3):
        write_run(errors_of(1) if number == 1 else night(number), f"n{number}")
    assert [p["value"] for p in series_of(trend(capsys, "n*"), "error_share")["points"]] == [
        0,
        1,
        0,
    ]
    assert main(["trend", "n*"]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.strip().startswith("n1")]
    assert any("100.0" in row for row in rows)
    assert any("—" in row for row in rows)
    series = trend(capsys, "n0", "n2")["series"]
    assert "error_share" not in {each["metric"] for each in series}


def test_runs_that_share_nothing_are_said_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two settings a run, none of them twice: the figures are shown, and that they stand alone."""
    monkeypatch.chdir(tmp_path)
    for number in range(3):
        rows = [row | {"temperature": t + 2 * number} for row in night(number) for t in (0, 1)]
        write_run([row | {"repeat": i % 3} for i, row in enumerate(rows)], f"n{number}")
    assert main(["trend", "n*"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("No two runs have a figure of the same setting: each stands for itself")
    assert "too few for a verdict" not in text
    rows = [line.split()[:3] for line in text.splitlines() if line.startswith("T=")]
    lone = [[f"T={t}", f"n{t // 2}", f"2026-11-0{1 + t // 2}"] for t in range(6)]
    assert rows[:6] == lone
    assert all(row in lone for row in rows)


def test_a_run_is_measured_against_a_reference_of_one_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A setting of the reference that only failed is one of its settings, too."""
    monkeypatch.chdir(tmp_path)
    failed = [row | {"temperature": 1} for row in errors_of(0)]
    write_run([row | {"temperature": 0} for row in night(0)] + failed, "n0")
    for number in range(1, 4):
        write_run([row | {"temperature": 1} for row in night(number)], f"n{number}")
    data = trend(capsys, "n*")
    assert "same_text_across" not in {each["metric"] for each in data["series"]}
