"""Trials that lose their record again: errors asked again, parts moved aside."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs

from evalharness.errors import StorageError
from evalharness.records import AttemptResult, Outcome, Reply, Status
from evalharness.store.folder.run import Run
from evalharness.store.folder.run_folder import read_manifest
from evalharness.store.parts import retry_errors
from evalharness.store.parts.verify import verify_folder
from tests.store.sample_run import SETTING, fill, intent, open_store, prompt, result


def error(number: int, attempt: int = 1) -> AttemptResult:
    """A trial that ended as an error, in doubt."""
    reply = Reply(outcome=Outcome.IN_DOUBT, status=Status.ERROR, http_status=500)
    return structs.replace(result(number, attempt), reply=reply)


async def recorded_errors(root: Path) -> None:
    """Four trials in a part: 0 and 2 answered, 1 and 3 errors."""
    store = open_store(root, 4)
    store.start()
    for number in range(4):
        await store.append(intent(number))
        await store.append(error(number) if number % 2 else result(number))
    await store.finish(status="complete", reason=None)


def states(root: Path) -> dict[str, str]:
    table = Run.open(root).table("records", ["prompt_id", "status"])
    return {row["prompt_id"]: row["status"] for row in table.to_pylist()}


async def test_errors_are_asked_again_and_recorded_once(tmp_path: Path) -> None:
    """Error records leave their part, attempts go on, and in the end each trial has one record."""
    root = tmp_path / "run"
    await recorded_errors(root)
    store = open_store(root, 4)
    assert store.retry_errors(prompts=[prompt(n) for n in range(4)], repeats=1) == 2
    assert sorted(store.done_keys()["prompt_id"].to_pylist()) == ["p0", "p2"]
    before = store.recovery.unfinished[intent(1).trial_id]
    assert (before.attempts, before.in_doubt) == (1, 1)
    store.start()
    for number in (1, 3):
        await store.append(intent(number, attempt=2))
        await store.append(result(number, attempt=2))
    await store.finish(status="complete", reason=None)
    assert states(root) == dict.fromkeys(["p0", "p1", "p2", "p3"], "ok")
    report = verify_folder(root)
    assert report.is_sound, report.findings
    assert (report.records, report.attempts, report.in_doubt) == (4, 6, 2)
    manifest = read_manifest(root)
    assert manifest is not None
    assert (manifest.recorded, manifest.by_status, manifest.in_doubt) == (4, {"ok": 4}, 2)
    assert any("2 error(s) asked again" in note for note in manifest.notes)


async def test_errors_outside_the_plan_keep_their_record(tmp_path: Path) -> None:
    """An error that nobody would ask again stays what it is."""
    root = tmp_path / "run"
    await recorded_errors(root)
    store = open_store(root, 2)
    assert store.retry_errors(prompts=[prompt(n) for n in range(2)], repeats=1) == 1
    store.close()
    assert states(root) == {"p0": "ok", "p2": "ok", "p3": "error"}


async def test_unsealed_errors_are_asked_again_too(tmp_path: Path) -> None:
    """Errors that a killed process left in the journal are sealed first, then taken out."""
    root = tmp_path / "run"
    store = open_store(root, 2)
    store.start()
    await store.append(intent(0))
    await store.append(error(0))
    store.close()
    again = open_store(root, 2)
    assert again.retry_errors(prompts=[prompt(0), prompt(1)], repeats=1) == 1
    assert again.done_keys().num_rows == 0
    assert again.recovery.unfinished[intent(0).trial_id].attempts == 1
    again.close()
    assert verify_folder(root).is_sound


@pytest.mark.parametrize("rewritten", [False, True])
async def test_a_kill_while_a_part_is_rewritten_is_settled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rewritten: bool
) -> None:
    """Before or after the part has its new content, the folder is sound and the next start lists it."""
    root = tmp_path / "run"
    await recorded_errors(root)
    write = retry_errors.write_table

    def die(*arguments: object) -> None:
        if rewritten:
            write(*arguments)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(retry_errors, "write_table", die)
    store = open_store(root, 4)
    with pytest.raises(KeyboardInterrupt):
        store.retry_errors(prompts=[prompt(n) for n in range(4)], repeats=1)
    store.close()
    assert verify_folder(root).is_sound
    again = open_store(root, 4)
    left = {"p0": "ok", "p2": "ok"}
    assert states(root) == (left if rewritten else {**left, "p1": "error", "p3": "error"})
    assert again.recovery.unfinished.keys() == (
        {intent(1).trial_id, intent(3).trial_id} if rewritten else set()
    )
    again.close()
    report = verify_folder(root)
    assert (report.is_sound, report.sealing) == (True, 0), report.findings


async def test_a_damaged_part_is_named_and_what_it_held_is_asked_again(tmp_path: Path) -> None:
    """A writer refuses a damaged part and says what to type; that done, its trials are left again."""
    root = tmp_path / "run"
    store = open_store(root, 3)
    await fill(store, range(2))
    await store.finish(status="complete", reason=None)
    part = root / "records" / "part-000001.parquet"
    raw = bytearray(part.read_bytes())
    raw[-100] ^= 4  # in the footer
    part.write_bytes(bytes(raw))
    assert not verify_folder(root).is_sound
    store = open_store(root, 3)
    with pytest.raises(StorageError, match=r"part-000001\.parquet is damaged") as refused:
        store.done_keys()
    store.close()
    assert f"mv {part} {part}.damaged" in str(refused.value)
    with pytest.raises(StorageError, match=r"part-000001\.parquet is damaged"):
        Run.open(root).records()

    part.rename(f"{part}.damaged")
    store = open_store(root, 3)
    assert store.done_keys().num_rows == 0
    assert store.recovery.unfinished[intent(0).trial_id].attempts == 1
    store.start()
    for number in range(3):
        await store.append(intent(number, attempt=2))
        await store.append(result(number, attempt=2))
    await store.finish(status="complete", reason=None)
    report = verify_folder(root)
    assert report.is_sound, report.findings
    assert (report.records, report.attempts) == (3, 5)
    manifest = read_manifest(root)
    assert manifest is not None
    assert "records/part-000001.parquet gone" in manifest.notes[0]
    assert SETTING.setting_id in Run.open(root).settings()["setting_id"].tolist()
