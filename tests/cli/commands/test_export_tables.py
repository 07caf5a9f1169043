"""``evalharness export --table``: the figures of a report for other programs, and to be read."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as parquet
import pytest

import evalharness
from evalharness.cli import main
from evalharness.cli.commands.import_ import import_file
from evalharness.cli.figures.point_tables import load_table
from evalharness.cli.figures.table_formats import latex_table
from evalharness.report.build.load_data import LoadSearch
from tests.imported_run import Rows, write_run
from tests.report.sections.load.load_sections import load_point, report_of

pytestmark = pytest.mark.usefixtures("work")

ROWS: Rows = [
    {"prompt_id": f"p{p}", "temperature": t, "text": "yes" if t == 0 else f"yes {k}",
     "score": 0.0 if p == 0 else 1.0, "latency_s": 0.1 + p / 100, "cost_usd": 0.001,
     "status": "error" if (p, t, k) == (1, 1, 0) else "ok"}
    for p in range(8) for t in (0, 1) for k in range(3)
]  # fmt: skip

Said = pytest.CaptureFixture[str]


def _export(table: str, form: str, *arguments: str) -> Path:
    out = Path(f"{table}.{form}")
    assert (
        main(["export", "r", "--table", table, "--format", form, "--out", str(out), *arguments])
        == 0
    )
    return out


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_settings_are_those_of_the_report(capsys: Said) -> None:
    """Every figure and interval of the JSON report, by setting, with the swept parameter."""
    write_run(ROWS)
    rows = _lines(_export("settings", "jsonl"))
    capsys.readouterr()
    assert main(["report", "r", "--json"]) == 0
    settings = json.loads(capsys.readouterr().out)["settings"]
    assert [row["temperature"] for row in rows] == [0, 1]
    for row, setting in zip(rows, settings, strict=True):
        assert (row["label"], row["trials"]) == (setting["label"], setting["trials"])
        assert row["score"] == setting["score"]["mean"]
        assert [row["score_lo"], row["score_hi"]] == setting["score"]["ci95"]
        assert row["agreement"] == setting["agreement"]["raw"]["pairwise"]
        assert row["latency_p95_s"] == setting["latency_s"]["p95"]
        assert row["errors"] == setting["status"]["error"]
        assert row["cost_usd"] == setting["cost_usd"]["total"]
        assert row["agreement_answer"] is None, "unknown is null"


def test_every_format_has_the_same_rows(capsys: Said) -> None:
    """CSV, JSON lines and Parquet agree cell by cell; `--column` chooses and orders."""
    write_run(ROWS)
    lines = _lines(_export("prompts", "jsonl"))
    arrow = parquet.read_table(_export("prompts", "parquet")).to_pylist()
    assert arrow == lines
    with _export("prompts", "csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(lines) == 16
    assert [float(row["latency_s"]) for row in rows] == [row["latency_s"] for row in lines]
    assert {row["agreement_answer"] for row in rows} == {""}
    failed = [row for row in lines if row["errors"]]
    assert [(row["prompt_id"], row["label"], row["trials"]) for row in failed] == [("p1", "T=1", 3)]
    chosen = _export("prompts", "csv", "--column", "score", "--column", "prompt_id")
    assert chosen.read_text().splitlines()[:2] == ["score,prompt_id", "0.0,p0"]
    assert "16 rows written to prompts.csv" in capsys.readouterr().err


def test_comparisons_are_those_of_the_report() -> None:
    """One row a comparison with the p value that decides; a dict is JSON text in Parquet."""
    write_run(ROWS)
    rows = parquet.read_table(_export("comparisons", "parquet")).to_pylist()
    theirs = evalharness.load("r").comparisons()
    assert [row["metric"] for row in rows][: len(theirs)] == list(theirs["metric"])
    agreement = next(row for row in rows if row["metric"] == "agreement")
    assert agreement["difference"] == -1.0
    assert agreement["difference_lo"] <= -1.0 <= agreement["difference_hi"]
    assert json.loads(agreement["stratum"]) == {}


def test_tables_to_be_read_have_figures_with_their_interval(work: Path) -> None:
    """Few columns, four digits; what has no value at all is no column; names cannot break markup."""
    rows = [{**row, "label": f"a|b_{row['temperature']} & $x$"} for row in ROWS]
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    import_file("rows.jsonl", "r", ["label=label"])
    text = _export("settings", "md").read_text()
    assert "| label | prompts | trials | score | agreement |" in text
    assert "agreement\\_answer" not in text
    assert "0.875 \\[0." in text
    assert r"a\|b\_0 &amp; \$x\$" in text
    latex = _export("settings", "latex").read_text()
    assert r"a\textbar{}b\_0 \& \$x\$ & 8 & 24 & 0.875 {[}0." in latex
    assert latex.count(r" \\") == 3
    heading = next(line for line in latex.splitlines() if line.startswith("label"))
    assert latex.splitlines()[1] == rf"\begin{{tabular}}{{l{'r' * heading.count(' & ')}}}"


def test_latex_signs_are_all_escaped() -> None:
    """A cell that begins with a bracket is no argument of the row break before it."""
    body = latex_table([["a"], [r"[1] \x{~^}*"]])
    assert r"{[}1{]} \textbackslash{}x\{\textasciitilde{}\textasciicircum{}\}{*} \\" in body


def test_load_points_have_token_times_errors_and_saturation() -> None:
    """TPOT, gaps, throughput, goodput, error share of a point, and the bounds of its search."""
    point = load_point(searched=True)
    search = {
        "settings": ["s"], "labels": ["model=m"], "result": "between", "low": 8.0, "high": 10.0,
        "rates": [8.0, 10.0], "unmeasured_rates": [], "goodput": 0.95, "shown_rate": 8.0, "outcome": "",
    }  # fmt: skip
    data = report_of(point, searches=[msgspec.convert(search, LoadSearch)])
    table = load_table(data)
    (row,) = table.rows
    assert set(row) >= {"tpot_p50_s", "throughput_per_s", "error_share"}
    assert (row["tpot_p50_s"], row["tpot_p95_s"], row["itl_p50_s"]) == (0.002, 0.003, None)
    assert row["error_share"] == 1 / 200
    assert (row["saturation_per_s"], row["saturation_above_per_s"]) == (8.0, 10.0)
    assert set(table.short) <= set(table.columns)


def test_a_table_without_rows_says_why(capsys: Said) -> None:
    """A batch evaluation has no load points: the headings, and a sentence on stderr."""
    write_run(ROWS)
    assert main(["export", "r", "--table", "load", "--format", "csv"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("measurement,load,")
    assert "has no load points: it is no benchmark" in said.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--format", "parquet"), "records are Parquet already"),
        (("--format", "latex"), "--format latex is for tables, not for records"),
        (("--format", "csv", "--column", "score"), "--column is for a table"),
        (("--format", "parquet", "--table", "settings"), "Parquet goes to a file"),
        (("--format", "csv", "--table", "settings", "--column", "scor"), "did you mean score?"),
        (("--format", "csv", "--table", "setings"), "did you mean settings?"),
    ],
)
def test_what_cannot_be_written_is_refused(
    arguments: tuple[str, ...], sentence: str, capsys: Said
) -> None:
    """Each with what to type instead; nothing is written."""
    write_run(ROWS)
    capsys.readouterr()
    assert main(["export", "r", *arguments]) == 2
    said = capsys.readouterr()
    assert sentence in said.err
    assert not said.out
