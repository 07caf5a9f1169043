"""Sealing: rows of the journal become parts, each row once, whatever interrupts it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.store.folder.run import Run
from evalharness.store.folder.writer import RunStore
from evalharness.store.parts import seal
from evalharness.store.parts.seal import _ranges
from evalharness.store.parts.seal_process import SealRequest, make_part
from evalharness.store.parts.verify import verify_folder
from tests.store.sample_run import fill, intent, open_store, result


def written(store: RunStore, part: int, upto: int) -> None:
    """A part with its name, which the manifest does not list yet."""
    make_part(
        SealRequest(
            str(store.folder.root),
            str(store.journal.path),
            part,
            upto,
            store.seal_scheduler.settings,
        )
    )


async def test_a_record_in_journal_and_part_is_read_once(tmp_path: Path) -> None:
    """Between naming a part and dropping journal rows a reader still counts each trial once."""
    store = open_store(tmp_path / "run")
    await fill(store, range(3))
    part, upto = await store.journal.execute(lambda db: seal.begin_seal(db, 1))
    written(store, part, upto)
    run = Run.open(tmp_path / "run")
    assert len(run.table("records")) == 3
    assert len(run.table("records", ["text"])) == 3
    assert len(run.table("attempts")) == 3
    store.close()


@pytest.mark.parametrize("stage", ["decided", "written"])
async def test_an_interrupted_seal_is_repeated_exactly_once(tmp_path: Path, stage: str) -> None:
    """A kill inside a seal leaves it to the next process, with the same rows and names."""
    store = open_store(tmp_path / "run")
    await fill(store, range(3))
    part, upto = await store.journal.execute(lambda db: seal.begin_seal(db, 1))
    if stage == "written":
        written(store, part, upto)
    store.close()  # as a kill would: no drop
    again = open_store(tmp_path / "run")
    again.start()
    await again.finish(status="complete", reason=None)
    run = Run.open(tmp_path / "run")
    assert sorted(run.records()["text"]) == ["answer 0", "answer 1", "answer 2"]
    assert run.manifest.by_status == {"ok": 3}
    report = verify_folder(tmp_path / "run")
    assert report.is_sound, report.findings
    assert report.unsealed == 0


async def test_background_sealing_keeps_every_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a part every 50 trials, concurrent appends and seals lose and repeat nothing."""
    monkeypatch.setattr(seal, "SEAL_TRIALS", 50)
    store = open_store(tmp_path / "run", 500)
    store.start()

    async def one(number: int) -> None:
        await store.append(intent(number))
        store.put(result(number))

    for start in range(0, 500, 20):
        await asyncio.gather(*(one(n) for n in range(start, start + 20)))
    await store.finish(status="complete", reason=None)
    run = Run.open(tmp_path / "run")
    assert run.records()["trial_id"].nunique() == len(run.records()) == 500
    assert len(run.manifest.parts) >= 4
    assert verify_folder(tmp_path / "run").is_sound


async def test_sealing_carries_unfinished_trials_on(tmp_path: Path) -> None:
    """Part after part, with attempts of unfinished trials carried on: each row once, nothing lost."""
    store = open_store(tmp_path / "run", count=3)
    store.start()
    await store.append(intent(0))
    await store.append(result(0, final=False))
    for number in (1, 2):
        await store.append(intent(number))
        await store.append(result(number))
        await store.seal()
    await store.append(intent(0, attempt=2))
    await store.append(result(0, attempt=2))
    await store.finish(status="complete", reason=None)
    assert verify_folder(tmp_path / "run").is_sound
    run = Run.open(tmp_path / "run")
    assert [part.rows for part in run.manifest.parts if "records" in part.path] == [1, 1, 1]
    assert sorted(run.attempts()["attempt"]) == [1, 1, 1, 2]


async def test_the_first_seal_after_a_kill_reads_what_the_journal_held_before(
    tmp_path: Path,
) -> None:
    """Entries of an earlier process, finished or not, and those of this one: each row once."""
    store = open_store(tmp_path / "run", count=5)
    await fill(store, range(2))
    await store.append(intent(2))
    await store.append(result(2, final=False))
    store.close()  # as a kill would
    again = open_store(tmp_path / "run", count=5)
    again.start()
    for number in (3, 4):
        await again.append(intent(number))
        await again.append(result(number))
        await again.seal()
    await again.append(intent(2, attempt=2))
    await again.append(result(2, attempt=2))
    await again.finish(status="complete", reason=None)
    assert verify_folder(tmp_path / "run").is_sound
    run = Run.open(tmp_path / "run")
    assert sorted(run.records()["prompt_id"]) == ["p0", "p1", "p2", "p3", "p4"]
    assert len(run.attempts()) == 6
    assert not run.damage


@given(st.sets(st.integers(0, 60)))
def test_stretches_hold_exactly_the_numbers_given(numbers: set[int]) -> None:
    """Deleting by stretches deletes nothing else."""
    stretches = _ranges(list(numbers))
    assert {n for first, last in stretches for n in range(first, last + 1)} == numbers
    assert len(stretches) == len({n for n in numbers if n - 1 not in numbers})
