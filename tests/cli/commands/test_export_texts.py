"""Texts in an exported file: exact in JSONL, and no formulas in CSV."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from evalharness.cli import main
from evalharness.cli.commands.import_ import import_file
from tests.cli.typed_command import run
from tests.store.sample_run import intent, open_store, result

#: What a spreadsheet would run, and what it would not.
FORMULAS = (
    "=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1", "  =1", "\xa0-1", "\u200b@a",
    "\ufeff \u2060+1", "\u3164=1", "\u202f\uff20a", "\u2028=1",
)  # fmt: skip
ESCAPES = "\x1b[31mred\x1b[0m \x1b]0;title\x07 \u202egnp.exe \x08"
PLAIN = ("1=1", "a-b", "'quoted'", "", " a=1", "\u200b", "\xa0", "x\x85y\u2028z\u2029")


@pytest.fixture
def texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts of a run called `texts`, in order."""
    monkeypatch.chdir(tmp_path)
    found = [*FORMULAS, *PLAIN, ESCAPES]
    rows = [{"prompt_id": f"p{i:02}", "text": text} for i, text in enumerate(found)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    import_file("rows.jsonl", "texts", [])
    return found


def _csv(*more: str) -> list[str]:
    out = run("export", "texts", "--format", "csv", "--out", "out.csv", *more)
    assert out.returncode == 0, out.stderr
    with Path("out.csv").open(newline="", encoding="utf-8") as file:
        return [row["text"] for row in csv.DictReader(file)]


def test_no_cell_of_a_csv_is_a_formula(texts: list[str]) -> None:
    """What a spreadsheet would run gets a quote before it; nothing else is touched."""
    expected = [f"'{text}" if text in FORMULAS else text for text in texts]
    assert _csv() == expected


def test_neutralising_can_be_turned_off(texts: list[str]) -> None:
    """--raw-cells gives every text as it was said."""
    assert _csv("--raw-cells") == texts


def test_jsonl_is_exact(texts: list[str]) -> None:
    """One record a line, every text as it was said."""
    out = run("export", "texts", "--format", "jsonl").stdout
    assert [json.loads(line)["text"] for line in out.splitlines()] == texts


def test_a_record_is_one_line_to_every_program(texts: list[str]) -> None:
    """No bare U+0085, U+2028 or U+2029, which many programs end a line at; the text is the same."""
    run("export", "texts", "--format", "jsonl", "--out", "out.jsonl")
    lines = Path("out.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["text"] for line in lines] == texts


TEXTS = ['=HYPERLINK("x")', "+1", "-1+1", "@SUM(1)", "\tx", "\rx", "plain", 'a,"b"\n=c', "'=q"]


async def test_csv_cells_are_no_formulas(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a spreadsheet would run is quoted, visibly; --raw-cells and JSONL are exact."""
    store = open_store(tmp_path / "run", len(TEXTS))
    store.start()
    for number, text in enumerate(TEXTS):
        await store.append(intent(number))
        await store.append(result(number, text=text))
    await store.finish(status="complete", reason=None)

    def exported(*options: str) -> str:
        assert main(["export", str(tmp_path / "run"), *options]) == 0
        return capsys.readouterr().out

    def column(printed: str) -> list[str]:
        return [row["text"] for row in csv.DictReader(io.StringIO(printed, newline=""))]

    quoted = column(exported("--format", "csv"))
    assert quoted[:6] == [f"'{text}" for text in TEXTS[:6]]
    assert quoted[6:] == TEXTS[6:]
    assert column(exported("--format", "csv", "--raw-cells")) == TEXTS
    lines = exported("--format", "jsonl").splitlines()
    assert [json.loads(line)["text"] for line in lines] == TEXTS
