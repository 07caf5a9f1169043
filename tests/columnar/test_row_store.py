"""Rows held in memory, or in a file where there are too many, are the rows of the table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.recorded import Shape, make
from evalharness.columnar.row_store import ColumnStore
from evalharness.columnar.text_pool import TextPool
from evalharness.report.build.open_run import open_run
from evalharness.store.folder.run import Run

SHAPE = Shape(prompts=12, settings=4, repeats=5)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in one part."""
    root = tmp_path_factory.mktemp("runs") / "whole"
    make(root, SHAPE)
    return root


@pytest.fixture
def crowded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hardly anything is held in memory."""
    monkeypatch.setattr(TextPool.__init__, "__defaults__", (500,))
    monkeypatch.setattr(ColumnStore.__init__, "__defaults__", ((), 2_000))


@pytest.mark.usefixtures("crowded")
def test_held_rows_are_the_rows_of_the_table(run: Path) -> None:
    """Numbers of texts stand for the texts, in the order of the table; null stays null."""
    found = open_run(Run.open(run))
    held, table = found.records, Run.open(run).table("records")
    texts = held.texts
    for name in ("prompt_id", "repeat", "status", "latency_s", "sent_at", "finish_reason"):
        assert held[name].to_pylist() == table[name].to_pylist()
        assert held.take(name, np.array([70, 3, 70])) == table[name].take([70, 3, 70]).to_pylist()
    assert "seed" not in held.column_names  # a column without any value
    for name in ("text", "refusal"):
        numbers = held[name].to_pylist()
        known = [number for number in numbers if number is not None]
        said = iter(texts.take(np.array(known)))
        assert [None if n is None else next(said) for n in numbers] == table[name].to_pylist()
        lengths = [len(text) for text in table[name].to_pylist() if text is not None]
        assert [texts.lengths[number] for number in known] == lengths
    blocks = list(held.tables(["status", "seed", "prompt_tokens"], rows=100))
    assert [len(block) for block in blocks] == [240]
    assert blocks[0].to_pylist() == table.select(["status", "prompt_tokens"]).to_pylist()
