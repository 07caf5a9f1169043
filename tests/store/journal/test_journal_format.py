"""Entries of the journal are numbered without gaps, and altered ones are never returned."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from evalharness.store.folder.run import Run
from evalharness.store.journal.journal_format import SCHEMA, insert_rows
from evalharness.store.parts.verify import verify_folder
from tests.store.sample_run import fill, open_store


async def test_altered_journal_data_is_never_returned(tmp_path: Path) -> None:
    """A flipped byte in an outcome is detected, set aside, reported, and its trial asked again."""
    store = open_store(tmp_path / "run")
    await fill(store, range(3))
    store.close()
    path = tmp_path / "run" / "journal" / "journal.sqlite"
    with sqlite3.connect(path) as db:
        payload = db.execute("SELECT payload FROM entry WHERE seq = 4").fetchone()[0]
        altered = payload.replace(b"answer 1", b"answer 9")
        db.execute("UPDATE entry SET payload = ? WHERE seq = 4", (altered,))
    db.close()
    run = Run.open(tmp_path / "run")
    assert sorted(run.records()["text"]) == ["answer 0", "answer 2"]
    assert [d.seq for d in run.damage] == [4]
    assert not verify_folder(tmp_path / "run").is_sound
    again = open_store(tmp_path / "run")
    assert [d.reason for d in again.recovery.damage] == ["checksum does not match"]
    assert sorted(again.done_keys()["prompt_id"].to_pylist()) == ["p0", "p2"]
    assert [i.prompt_id for i in again.recovery.newly_in_doubt] == ["p1"]
    again.close()


@pytest.mark.parametrize("count", [1, 63, 64, 65, 511, 512, 513, 700])
def test_rows_are_appended_in_order_and_numbered_without_gaps(count: int) -> None:
    """However many statements a batch takes."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.executescript(SCHEMA)
    insert_rows(db, [(1, b"before", 0)])
    insert_rows(db, [(1, b"%d" % n, n) for n in range(count)])
    found = db.execute("SELECT seq, payload, crc FROM entry WHERE seq > 1 ORDER BY seq").fetchall()
    assert found == [(n + 2, b"%d" % n, n) for n in range(count)]
