"""Whatever goes wrong on the journal's thread reaches the run: it neither hangs nor goes on unsaved."""

from __future__ import annotations

import shlex
import threading
from pathlib import Path

import pytest

import evalharness
from evalharness.cli import main
from evalharness.errors import EXIT_STORAGE, StorageError
from evalharness.store.journal.disk_reserve import DiskReserve
from evalharness.store.journal.journal import Journal
from tests.store.sample_run import intent, open_store, result

RUN = ["run", "provider=emulator", "name=r", "dataset.limit=4", "repeats=2", "sweep=none",
       "limits.concurrency=2"]  # fmt: skip


class DefectError(Exception):
    """Nothing that anybody expects."""


async def test_who_waits_for_an_entry_hears_of_a_defect_after_its_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its future ends in an error, as do all later ones; what was committed is there afterwards."""
    store = open_store(tmp_path / "run", 2)
    store.start()
    await store.append(intent(0))

    def fails(*_: object) -> bool:
        raise DefectError("out of order")

    monkeypatch.setattr(DiskReserve, "grow_for", fails)
    with pytest.raises(StorageError, match="out of order"):
        await store.append(result(0))
    with pytest.raises(StorageError, match="out of order"):
        await store.append(intent(1))
    store.close()
    monkeypatch.undo()
    again = open_store(tmp_path / "run", 2)
    assert len(again.done_keys()) == 1
    again.close()


def test_a_run_ends_with_74_and_can_be_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The reason is said, the last line is to type, and nothing is bought twice."""
    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as broken:
        left = iter(range(3))

        def fails(*_: object) -> bool:
            next(left)  # StopIteration is no OSError either
            return True

        broken.setattr(DiskReserve, "grow_for", fails)
        assert main(RUN) == EXIT_STORAGE
    said = capsys.readouterr().err
    assert "the journal journal.sqlite cannot be written" in said
    assert "StopIteration" in said
    command = said.strip().splitlines()[-1].rpartition("to go on: ")[2]
    assert shlex.split(command)[1:] == RUN
    assert main(RUN) == 0
    records = evalharness.load("results/r").records()
    assert (len(records), records["trial_id"].nunique()) == (8, 8)
    attempts = evalharness.load("results/r").attempts()
    known = attempts[attempts["outcome"] != "in_doubt"]
    assert known["trial_id"].nunique() == len(known), "something was bought twice unsaid"


async def test_what_is_durable_is_not_told_a_later_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entry that is on disk has succeeded, also when the next fails before anybody was told."""
    store = open_store(tmp_path / "run", 2)
    store.start()
    first_written, second_failed = threading.Event(), threading.Event()
    given = Journal._fail  # pyright: ignore[reportPrivateUsage]

    def keep_up(*_: object) -> bool:
        if first_written.is_set():
            raise DefectError("of the second")
        first_written.set()
        return True

    def fail(journal: Journal, error: Exception) -> None:
        given(journal, error)
        second_failed.set()

    monkeypatch.setattr(DiskReserve, "grow_for", keep_up)
    monkeypatch.setattr(Journal, "_fail", fail)
    first = store.append(intent(0))
    assert first_written.wait(30)  # the event loop stands still meanwhile
    second = store.append(intent(1))
    assert second_failed.wait(30)
    await first
    with pytest.raises(StorageError, match="of the second"):
        await second
    store.close()
