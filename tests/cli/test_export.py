"""P17: an exported CSV file runs nothing in a spreadsheet; the exact text is elsewhere."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from evalharness.cli import main
from tests.store.helpers import intent, result
from tests.store.test_store import open_store

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
