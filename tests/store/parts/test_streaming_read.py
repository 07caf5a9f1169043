"""Parts are read one at a time, and only those asked for."""

from __future__ import annotations

from pathlib import Path

from benchmarks.recorded import Shape, make
from evalharness.store.folder.run import Run

CELL = ["trial_id", "prompt_id", "setting_id", "repeat"]


def test_only_some_parts_are_read(tmp_path: Path) -> None:
    """Parts are chosen by number; the rows that are in no part always come last."""
    make(tmp_path / "run", Shape(prompts=3, settings=2, repeats=5), part_rows=7)
    stored = Run.open(tmp_path / "run").snapshot("records")
    every = [part["trial_id"].to_pylist() for part in stored.parts(CELL)]
    assert [len(part) for part in every] == [7, 7, 7, 7, 2, 0]
    some = [part["trial_id"].to_pylist() for part in stored.parts(CELL, part_numbers={1, 4})]
    assert some == [every[1], every[4], []]
    assert stored.columns_with_values(["text", "seed"]) == {"text"}
