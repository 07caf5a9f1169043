"""Rows that the current plan asks for are the same block by block as from a whole table."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from benchmarks.recorded import Shape, make
from evalharness.store.folder.current_plan import BlockFilter, PlanFilter
from evalharness.store.folder.run import Run
from evalharness.store.parts.streaming_read import concat_parts

CELL = ["trial_id", "prompt_id", "setting_id", "repeat"]


def test_blocks_are_chosen_from_as_a_table(tmp_path: Path) -> None:
    """A prompt and a setting have left the plan, and there are fewer repeats than recorded."""
    make(tmp_path / "run", Shape(prompts=6, settings=4, repeats=3), part_rows=10)
    run = Run.open(tmp_path / "run")
    settings, prompts = run.table("settings"), run.table("prompts")
    for name, table in (("settings", settings), ("prompts", prompts)):
        place = table.column_names.index("in_current_plan")
        active = pa.array([row > 0 for row in range(len(table))])
        table = table.set_column(place, "in_current_plan", active)
        settings, prompts = (table, prompts) if name == "settings" else (settings, table)
    run.manifest.planned = 5 * 3 * 2
    asked = PlanFilter(settings, prompts, run.manifest)
    expected = asked.select(run.table("records", CELL))["trial_id"].to_pylist()
    chosen = BlockFilter(asked)
    blocks = [b.filter(chosen.mask_of_table(b)) for b in run.snapshot("records").parts(CELL)]
    assert sum(len(block) > 0 for block in blocks) > 1
    (found,) = concat_parts(blocks, rows=None)
    assert found["trial_id"].to_pylist() == expected
    assert len(expected) == 30
