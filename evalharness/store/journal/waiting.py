"""The trials of a run that wait in batches, without opening its journal for writing."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from evalharness.records import Intent
from evalharness.store.journal.journal_format import (
    FILE_NAME,
    Damage,
    connect_for_reading,
    read_entries,
)

if TYPE_CHECKING:
    import pyarrow as pa


def waiting_keys(root: Path) -> pa.Table:
    """prompt_id, setting_id and repeat of every trial that is in a batch without a result.

    Raises:
        StorageError: the journal cannot be read.
    """
    import pyarrow as pa

    waiting: dict[tuple[str, int], Intent] = {}
    db = connect_for_reading(root / "journal" / FILE_NAME)
    if db is not None:
        damage: list[Damage] = []  # is reported when the folder is opened for writing
        with closing(db):
            for _, value in read_entries(db, damage=damage):
                if not isinstance(value, Intent):
                    waiting.pop((value.intent.trial_id, value.intent.attempt), None)
                elif value.batch_file is not None:
                    waiting[value.trial_id, value.attempt] = value
    intents = waiting.values()
    return pa.table(
        {
            "prompt_id": pa.array([i.prompt_id for i in intents], pa.string()),
            "setting_id": pa.array([i.setting_id for i in intents], pa.string()),
            "repeat": pa.array([i.repeat for i in intents], pa.int64()),
        }
    )
