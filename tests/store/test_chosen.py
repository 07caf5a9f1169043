"""Rows that a plan asks for are the same told block by block as from a whole table."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from benchmarks.recorded import Shape, make
from evalharness.store.folder.current_plan import Asked, Chosen
from evalharness.store.folder.run import Run
from evalharness.store.parts.streaming_read import joined

CELL = ["trial_id", "prompt_id", "setting_id", "repeat"]


def test_blocks_are_chosen_from_as_a_table(tmp_path: Path) -> None:
    """A prompt and a setting have left the plan, and there are fewer repeats than recorded."""
    make(tmp_path / "run", Shape(prompts=6, settings=4, repeats=3), part_rows=10)
    run = Run.open(tmp_path / "run")
    settings, prompts = run.table("settings"), run.table("prompts")
    for name, table in (("settings", settings), ("prompts", prompts)):
        place = table.column_names.index("active")
        active = pa.array([row > 0 for row in range(len(table))])
        table = table.set_column(place, "active", active)
        settings, prompts = (table, prompts) if name == "settings" else (settings, table)
    run.manifest.planned = 5 * 3 * 2
    asked = Asked(settings, prompts, run.manifest)
    expected = asked.rows(run.table("records", CELL))["trial_id"].to_pylist()
    chosen = Chosen(asked)
    blocks = [b.filter(chosen.rows_of(b)) for b in run.snapshot("records").parts(CELL)]
    assert sum(len(block) > 0 for block in blocks) > 1
    (found,) = joined(blocks, rows=None)
    assert found["trial_id"].to_pylist() == expected
    assert len(expected) == 30


def test_only_some_parts_are_read(tmp_path: Path) -> None:
    """Parts are chosen by number; the rows that are in no part always come last."""
    make(tmp_path / "run", Shape(prompts=3, settings=2, repeats=5), part_rows=7)
    stored = Run.open(tmp_path / "run").snapshot("records")
    every = [part["trial_id"].to_pylist() for part in stored.parts(CELL)]
    assert [len(part) for part in every] == [7, 7, 7, 7, 2, 0]
    some = [part["trial_id"].to_pylist() for part in stored.parts(CELL, only={1, 4})]
    assert some == [every[1], every[4], []]
    assert stored.filled(["text", "seed"]) == {"text"}
