"""What killed workers leave in a run folder is read with the rest, and taken over once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from evalharness.store.folder.lock import take_lock
from evalharness.store.folder.run import Run
from evalharness.store.journal import worker_journals
from evalharness.store.journal.duplicate_attempts import drop_duplicate_attempts
from evalharness.store.journal.journal_format import encode_row, insert_rows, read_entries
from evalharness.store.journal.repair import open_and_repair
from evalharness.store.parts import seal
from evalharness.store.parts.setting_columns import columns_by_setting
from evalharness.store.parts.verify import verify_folder
from tests.store.sample_run import SETTING, intent, open_store, result


def leave(root: Path, name: str, *values: object, part: int | None = None) -> Path:
    """A worker's journal with these entries, and a seal over all of them that was only begun."""
    folder = root / "journal" / name
    folder.mkdir()
    (folder / "run.lock").write_text("process 1 on nowhere")
    db = open_and_repair(folder / "journal.sqlite", [])
    insert_rows(db, [encode_row(value) for value in values])  # type: ignore[arg-type]
    if part is not None:
        seal.begin_seal(db, part)
    db.close()
    return folder


def begun(root: Path) -> Path:
    """A run that was begun and whose process is gone."""
    store = open_store(root)
    store.start()
    store.close()
    return root


async def test_a_worker_s_journal_is_read_and_taken_over(tmp_path: Path) -> None:
    """An answer counts, a try is a try, an intent alone is in doubt; each trial is sealed once."""
    root = begun(tmp_path / "run")
    leave(root, "worker-0001", intent(0), result(0), intent(1), result(1, final=False), intent(2))
    assert list(Run.open(root).records()["prompt_id"]) == ["p0"]
    state = verify_folder(root)
    assert (state.findings, state.unsealed, state.in_doubt) == ([], 1, 1)
    again = open_store(root)
    assert not list((root / "journal").glob("worker-*"))
    assert [r.intent.prompt_id for r in again.recovery.finals] == ["p0"]
    assert [i.prompt_id for i in again.recovery.newly_in_doubt] == ["p2"]
    assert again.recovery.unfinished[intent(1).trial_id].attempts == 1
    again.start()
    for number in (1, 2):
        await again.append(result(number, attempt=2))
    await again.finish(status="complete", reason=None)
    attempts = Run.open(root).attempts().sort_values(["prompt_id", "attempt"])
    said = list(zip(attempts["prompt_id"], attempts["outcome"], strict=True))
    assert said == [
        ("p0", "delivered"), ("p1", "rejected"), ("p1", "delivered"), ("p2", "in_doubt"),
        ("p2", "delivered"),
    ]  # fmt: skip
    assert verify_folder(root).is_sound


async def test_taking_over_twice_changes_nothing(tmp_path: Path) -> None:
    """A kill between taking over and removing: the same journal comes again."""
    root = begun(tmp_path / "run")
    left = leave(root, "worker-0001", intent(0), result(0), intent(2))
    shutil.copytree(left, tmp_path / "copy")
    open_store(root).close()
    shutil.copytree(tmp_path / "copy", left)
    again = open_store(root)
    assert len(again.recovery.finals) == 1
    again.start()
    await again.finish(status="interrupted", reason=None)
    assert len(Run.open(root).records()) == 1
    attempts = Run.open(root).attempts()
    assert sorted(attempts["outcome"]) == ["delivered", "in_doubt"]


async def test_seals_of_several_workers_are_finished_under_their_own_numbers(
    tmp_path: Path,
) -> None:
    """Two were killed while sealing: one before its part had a name, one after."""
    root = begun(tmp_path / "run")
    leave(root, "worker-0001", result(0), result(1), part=1)
    second = leave(root, "worker-0002", result(2), part=2)
    store = open_store(tmp_path / "other")
    db = open_and_repair(second / "journal.sqlite", [])
    batch = seal.collect(read_entries(db, damage=[]))
    db.close()
    store.folder.root = root
    seal.write_parts(store.folder.root, 2, batch, columns_by_setting([SETTING]))
    store.close()
    assert verify_folder(root).is_sound
    again = open_store(root)
    assert not again.recovery.finals
    names = sorted(path.name for path in (root / "records").iterdir())
    assert names == ["part-000001.parquet", "part-000002.parquet"]
    again.start()
    await again.finish(status="interrupted", reason=None)
    assert sorted(Run.open(root).records()["prompt_id"]) == ["p0", "p1", "p2"]
    assert verify_folder(root).is_sound


async def test_a_worker_that_lives_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its journal is locked: nothing is touched, and the folder is not opened."""
    from evalharness.errors import RunInUseError

    root = begun(tmp_path / "run")
    left = leave(root, "worker-0001", result(0))
    monkeypatch.setattr(worker_journals, "_PATIENCE_S", 0.0)
    take_lock(left)
    with pytest.raises(RunInUseError, match="worker-0001"):
        open_store(root)
    assert (left / "journal.sqlite").exists()


async def test_attempts_whose_records_were_never_written_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the two names, and the journal is lost: what was sent is not forgotten."""
    root = begun(tmp_path / "run")
    whole = seal.write_table

    def killed(target: Path, table: object) -> None:
        if target.parent.name == "records":
            raise KeyboardInterrupt
        whole(target, table)  # type: ignore[arg-type]

    batch = seal.collect(enumerate([intent(0), result(0), intent(1), result(1)]))
    with monkeypatch.context() as patch:
        patch.setattr(seal, "write_table", killed)
        with pytest.raises(KeyboardInterrupt):
            seal.write_parts(root, 1, batch, columns_by_setting([SETTING]))
    assert not list((root / "records").iterdir())
    again = open_store(root)
    assert again.folder.manifest.recorded == 0
    assert again.recovery.unfinished[intent(0).trial_id].attempts == 1
    again.start()
    for number in (0, 1):
        await again.append(result(number, attempt=2))
    await again.finish(status="interrupted", reason=None)
    assert len(Run.open(root).attempts()) == 4
    assert len(Run.open(root).records()) == 2
    assert verify_folder(root).is_sound


async def test_a_seal_that_is_repeated_after_its_attempts_were_listed_counts_once(
    tmp_path: Path,
) -> None:
    """Listed alone, as its journal was elsewhere; then that comes back and is finished."""
    root = begun(tmp_path / "run")
    entries = [intent(0), result(0, final=False), result(0, attempt=2)]
    batch = seal.collect(enumerate(entries))
    seal.write_parts(root, 1, batch, columns_by_setting([SETTING]))
    (root / "records" / "part-000001.parquet").unlink()
    open_store(root).close()
    leave(root, "worker-0001", *entries, part=1)
    again = open_store(root)
    assert again.folder.manifest.recorded == 1
    again.start()
    await again.finish(status="interrupted", reason=None)
    assert len(Run.open(root).attempts()) == 2


async def test_attempts_that_others_have_sealed_are_no_more_in_the_main_journal(
    tmp_path: Path,
) -> None:
    """The trial was recorded elsewhere with them: at the next opening they go, others stay."""
    root = begun(tmp_path / "run")
    store = open_store(root)
    db = open_and_repair(root / "journal" / "journal.sqlite", [])
    seal.finish_open_seals(store.folder, db, {}, [])
    batch = seal.collect(enumerate([result(0, final=False), result(0, attempt=2)]))
    sealed = seal.write_parts(root, 1, batch, columns_by_setting([SETTING]))
    assert sealed is not None
    seal.list_parts(store.folder, sealed)
    insert_rows(db, [encode_row(result(n, final=False)) for n in (0, 1)])
    db.close()
    store.close()
    again = open_store(root)
    assert set(again.recovery.unfinished) == {intent(0).trial_id, intent(1).trial_id}
    drop_duplicate_attempts(again, again.done_keys())
    assert set(again.recovery.unfinished) == {intent(1).trial_id}
    left = [value for _, value in read_entries(again.journal.connection, damage=[])]
    assert left == [result(1, final=False)]
    again.close()
    attempts = Run.open(root).attempts().sort_values(["prompt_id", "attempt"])
    assert list(zip(attempts["prompt_id"], attempts["attempt"], strict=True)) == [
        ("p0", 1), ("p0", 2), ("p1", 1),
    ]  # fmt: skip
    assert verify_folder(root).is_sound
