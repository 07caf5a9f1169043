"""``evalharness export`` and what ``import`` makes of it."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from evalharness.cli import main
from evalharness.report.build_report import build_report
from evalharness.store.folder.run import Run
from tests.imported_run import Rows, write_run
from tests.report.json_reports import json_of

pytestmark = pytest.mark.usefixtures("work")

ROWS: Rows = [
    {"prompt_id": f"p{p}", "temperature": t, "stop": ["x"], "top_k": 5, "system": s,
     "text": f"it is {p + k * t}", "target": p, "cluster": f"c{p % 2}", "tags": ["a", "b"],
     "prompt": f"What is {p}?", "latency_s": 0.5, "completion_tokens": 3, "billed_usd": 0.1,
     "status": "error" if (p, t, k) == (0, 0, 0) else "ok"}
    for p in range(4) for t in (0, 1) for s in ("be brief", None) for k in range(2)
]  # fmt: skip
JUDGED = ("scoring=[{name: numeric}]", "answer=last_number")
# What a file of records cannot know: ids of settings, and what is drawn in their order.
OWN = {"setting_id"}

Said = pytest.CaptureFixture[str]


def _settings(name: str, *overrides: str) -> list[dict[str, Any]]:
    from evalharness.report.build.overrides import parse_overrides

    report = build_report(Run.open(name), parse_overrides(overrides)).data
    rows: list[dict[str, Any]] = json_of(report)["settings"]
    return [{key: row[key] for key in row if key not in OWN} for row in rows]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_an_export_imported_again_reports_the_same(work: Path, form: str, capsys: Said) -> None:
    """Settings, targets, clusters, answers and scores survive; the figures are the same."""
    write_run(ROWS)
    assert main(["export", "r", "--format", form, "--out", f"out.{form}", *JUDGED]) == 0
    capsys.readouterr()
    assert main(["import", f"out.{form}", "again"]) == 0
    assert "unparsed" not in capsys.readouterr().err
    before, after = _settings("r", *JUDGED), _settings("again")
    assert len(before) == 4
    for rows in (before, after):  # by its name, which an imported score has not
        for row in rows:
            assert list(row.pop("scores").values()) == [row["score"]]
    assert after == before
    assert before[0]["score"]["mean"] == 1.0
    prompts = [Run.open(name).table("prompts").to_pylist() for name in ("r", "again")]
    for name in ("prompt_id", "target_json", "cluster", "tags", "messages_json"):
        assert [row[name] for row in prompts[0]] == [row[name] for row in prompts[1]], name


def test_columns_that_nothing_defines_are_left_out(work: Path) -> None:
    """Without an extraction there is no empty `answer` column, which would say "unparsed"."""
    write_run(ROWS)
    assert main(["export", "r", "--format", "csv", "--out", "out.csv"]) == 0
    with (work / "out.csv").open() as file:
        rows = csv.DictReader(file)
        names = list(rows.fieldnames or ())
        assert {row["cost_usd"] for row in rows} == {""}, "a price that is not known is no 0"
    assert not {"answer", "score", "extra_json"} & set(names)
    assert names.index("label") == names.index("setting_id") + 1
    assert {"target_json", "cluster", "stop", "top_k", "system"} <= set(names)


def test_a_run_of_the_emulator_comes_back(work: Path, capsys: Said) -> None:
    """A real run, exported and imported, agrees and costs as much, with the run's own scoring."""
    made = main(
        ["run", "provider=emulator", "name=r", "dataset.limit=4", "repeats=2", "sweep=none",
         "sweep.seed=[7,null]", "sweep.temperature=[0,1]",
         "scoring=[{name: numeric}]", "hydra/job_logging=disabled"]
    )  # fmt: skip
    assert made == 0
    assert main(["export", "r", "--format", "jsonl", "--out", "out.jsonl"]) == 0
    exported = [json.loads(line) for line in (work / "out.jsonl").read_text().splitlines()]
    assert main(["import", "out.jsonl", "again"]) == 0
    before = {row["label"]: row for row in _settings("r")}
    after = {row["label"]: row for row in _settings("again")}
    assert before.keys() == after.keys() == {row["label"] for row in exported}
    assert "seed=7, T=0" in after, "an import would name temperature first"
    axes = [list(setting.axes) for setting in Run.open("again").setting_list]
    assert axes == [["seed", "temperature"]] * 4
    assert main(["check", "again", "--setting", "seed=7, T=0", "--max-error-share", "0"]) == 0
    for label, row in before.items():
        for part in ("agreement", "status", "trials", "system_fingerprints"):
            assert row[part] == after[label][part], (label, part)
        assert row["score"]["mean"] == after[label]["score"]["mean"]
        costs = [one[label]["cost_usd"]["total"] for one in (before, after)]
        own = [row["cost_usd"] for row in exported if row["label"] == label]
        assert costs[0] == pytest.approx(costs[1])
        assert costs[0] == pytest.approx(sum(own))
        assert costs[0] > 0
        billed = [one[label]["cost_usd"]["billed_total"] for one in (before, after)]
        assert billed[0] == pytest.approx(billed[1])


def test_a_price_file_prices_an_export(work: Path) -> None:
    """As in a report: `--pricing` is put over the shipped prices."""
    write_run([{"prompt_id": "p", "model": "m", "text": "a", "prompt_tokens": 1000,
                "completion_tokens": 10}])  # fmt: skip
    (work / "prices.yaml").write_text(
        "prices: [{model: m, price_usd_per_mtok: {prompt: 1, completion: 2}}]"
    )
    priced = ("--pricing", "prices.yaml")
    assert main(["export", "r", "--format", "jsonl", "--out", "out.jsonl", *priced]) == 0
    assert json.loads((work / "out.jsonl").read_text())["cost_usd"] == 0.00102


@pytest.mark.parametrize(
    ("labels", "expected", "said"),
    [
        (("cold", "hot"), {"cold", "hot"}, ""),
        (("one", "one"), {"T=0", "T=1"}, "does not give every setting one name"),
    ],
)
def test_labels_of_an_export_name_its_settings(
    work: Path, labels: tuple[str, str], expected: set[str], said: str, capsys: Said
) -> None:
    """Renamed, they are kept; where two settings have one, labels are made anew, and that is said."""
    write_run([{"prompt_id": "p", "temperature": t, "text": "a"} for t in (0, 1)])
    assert main(["export", "r", "--format", "jsonl", "--out", "out.jsonl"]) == 0
    text = (work / "out.jsonl").read_text()
    text = text.replace('"T=0"', f'"{labels[0]}"').replace('"T=1"', f'"{labels[1]}"')
    (work / "out.jsonl").write_text(text)
    capsys.readouterr()
    assert main(["import", "out.jsonl", "again"]) == 0
    assert {setting.label for setting in Run.open("again").setting_list} == expected
    assert said in capsys.readouterr().err


def test_labels_from_elsewhere_are_no_names_of_settings(work: Path, capsys: Said) -> None:
    """In a file that is no export, `label` is rather the class of a prompt."""
    (work / "a.csv").write_text("prompt_id,text,label\np,yes,spam\nq,no,ham\n")
    assert main(["import", "a.csv", "theirs"]) == 0
    assert "--map label=label" in capsys.readouterr().err
    assert Run.open("theirs").setting_list[0].label == "imported"
    assert main(["import", "a.csv", "mapped", "--map", "label=label"]) == 0
    assert "does not give every setting one name" in capsys.readouterr().err


def test_formulas_are_neutral_and_raw_cells_exact(work: Path) -> None:
    """A cell a spreadsheet would run gets a quote, unless the file is for a program."""
    write_run([{"prompt_id": "p", "text": "=1+1", "target": "-1"}])
    for flags, text in (((), "'=1+1"), (("--raw-cells",), "=1+1")):
        assert main(["export", "r", "--format", "csv", "--out", "out.csv", *flags]) == 0
        with (work / "out.csv").open() as file:
            assert next(csv.DictReader(file))["text"] == text


def test_bytes_come_back(work: Path) -> None:
    """Bytes are base64, as import reads them."""
    write_run([{"prompt_id": "p", "text": "a", "response_bytes": "/wA="}])
    assert main(["export", "r", "--format", "jsonl", "--out", "out.jsonl"]) == 0
    assert json.loads((work / "out.jsonl").read_text())["response_bytes"] == "/wA="
    assert main(["import", "out.jsonl", "again"]) == 0
    assert Run.open("again").table("records")["response_bytes"].to_pylist() == [b"\xff\x00"]
