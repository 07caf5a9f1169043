"""Grades of judgings for a few records, also of judgings that no scorer of the report reads."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Any

import msgspec
import numpy as np

from evalharness.analysis.data.encode import Floats, Ints
from evalharness.judging import judging_names, open_judging
from evalharness.report.build.open_run import RunData
from evalharness.scoring.reasoning import scored_text
from evalharness.scoring.scorers.judge import output_key


def judge_grades(
    run_data: RunData, rows: Ints, *, leave_out: AbstractSet[str]
) -> dict[str, Floats]:
    """The grade of some records by each judging that gives grades; NaN where it gave none.

    Args:
        run_data: the run.
        rows: positions in its records.
        leave_out: names of judgings.
    """
    run, grades_of = run_data.run, dict[str, Floats]()
    keys: list[str] | None = None
    for name in judging_names(run.root):
        judging = None if name in leave_out else open_judging(run, name)
        if judging is None or judging.config.mode != "grade":
            continue
        keys = _output_keys(run_data, rows) if keys is None else keys
        grades = judging.grades()
        values = [None if (g := grades.get(key)) is None else g.value for key in keys]
        grades_of[name] = np.array([np.nan if v is None else v for v in values], np.float64)
    return grades_of


def _output_keys(run_data: RunData, rows: Ints) -> list[str]:
    """What judgings know the output of each record by."""
    records, mode = run_data.records, run_data.scoring.reasoning.mode
    table = run_data.prompts.select(["prompt_id", "target_json"])
    targets: dict[str, Any] = {
        str(row["prompt_id"]): None
        if row["target_json"] is None
        else msgspec.json.decode(row["target_json"])
        for row in table.to_pylist()
    }
    columns = (records.take(name, rows) for name in ("prompt_id", "text", "tool_calls_json"))
    return [
        output_key(prompt, scored_text(text, mode), calls, targets.get(prompt))
        for prompt, text, calls in zip(*columns, strict=True)
    ]
