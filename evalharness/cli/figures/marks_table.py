"""The table of marks of ``evalharness export --table marks``."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from evalharness.cli.figures.run_tables import RunTable
from evalharness.store.folder.annotations import whole_annotations
from evalharness.store.folder.run import Run


def marks_table(run: Run) -> RunTable:
    """One row a record and reader: the content of ``annotations.parquet``.

    Raises:
        StorageError: it cannot be read.
    """
    labels = {setting.setting_id: setting.label for setting in run.setting_list}
    rows = [
        {
            **msgspec.structs.asdict(row),
            "label": labels.get(row.setting_id),
            "mark": None if row.mark is None else row.mark.value,
            "marked_at": datetime.fromtimestamp(row.marked_at / 1e9, UTC).isoformat(),
        }
        for row in whole_annotations(run.root)
    ]
    columns = ["trial_id", "prompt_id", "setting_id", "label", "repeat", "mark", "note", "reader",
               "marked_at"]  # fmt: skip
    return RunTable(columns, ["prompt_id", "label", "repeat", "mark", "note", "reader"], rows)
