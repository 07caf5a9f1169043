"""The note and the tags of a run: durable, and no change is lost."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from evalharness.errors import StorageError
from evalharness.store.folder import durable_files
from evalharness.store.folder.notes import RunNotes, change_notes, read_notes
from evalharness.store.folder.run import find_run
from evalharness.store.remote.locations import STAGING
from evalharness.store.remote.object_store import RemoteFolder
from tests.store.remote.conftest import s3, store

__all__ = ["s3", "store"]


def add(tag: str) -> Callable[[RunNotes], RunNotes]:
    return lambda notes: notes.with_tags([tag], [])


def test_changes_at_once_are_all_kept(tmp_path: Path) -> None:
    """Each change begins with what the one before it left."""
    tags = [f"t{number}" for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda tag: change_notes(tmp_path, add(tag)), tags))
    assert sorted(read_notes(tmp_path).tags) == sorted(tags)


def test_a_change_is_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is synced before it takes the place of the old file."""
    change_notes(tmp_path, add("old"))

    class FullDisk(durable_files.FileOps):
        def fsync(self, fd: int) -> None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(durable_files, "ops", FullDisk())
    with pytest.raises(StorageError, match="No space left"):
        change_notes(tmp_path, add("new"))
    assert read_notes(tmp_path).tags == ["old"]
    assert [path.name for path in tmp_path.iterdir()] == ["notes.json"]


def test_a_run_in_a_store(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store's file counts: what one machine changes, another reads and keeps."""
    base, _, query = store.partition("?")
    url = f"{base}/r?{query}" if query else f"{base}/r"
    manifest = (
        b'{"code_version":"x","name":"r","status":"complete","created_at":"","updated_at":""}'
    )
    RemoteFolder(url).write("run.json", manifest.replace(b'{"code', b'{"schema_version":2,"code'))
    for machine in ("here", "there"):
        monkeypatch.setenv(STAGING, str(tmp_path / machine))
        change_notes(find_run(url), add(machine))
    monkeypatch.setenv(STAGING, str(tmp_path / "here"))
    assert read_notes(find_run(url)).tags == ["here", "there"]
    assert change_notes(find_run(url), add("again")).tags == ["here", "there", "again"]
