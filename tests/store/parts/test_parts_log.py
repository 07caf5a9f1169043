"""Many parts: the manifest is written now and then, and always says them all."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from evalharness.errors import StorageError
from evalharness.store.folder import durable_files
from evalharness.store.folder.run import Run
from evalharness.store.folder.run_folder import MANIFEST, read_manifest
from evalharness.store.folder.writer import RunStore
from evalharness.store.parts import parts_log
from evalharness.store.parts.verify import verify_folder
from tests.store.sample_run import SETTING, digests, intent, prompt, result


def opened(root: Path, planned: int) -> RunStore:
    store = RunStore(root, code_version="0")
    prompts = [prompt(n) for n in range(planned)]
    store.save_plan(
        config_yaml="", prompts=prompts, digests=digests(prompts), settings=[SETTING],
        planned=planned,
    )  # fmt: skip
    store.start()
    return store


async def seal(store: RunStore, numbers: range) -> None:
    for number in numbers:
        store.put(intent(number))
        await store.append(result(number))
        await store.seal()


async def test_what_is_written_grows_with_the_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts_log, "FEW_PARTS", 8)
    root = tmp_path / "r"
    written: list[int] = []
    publish = durable_files.write_bytes_durably

    def counted(target: Path, content: bytes, **options: int) -> None:
        if target.name == MANIFEST:
            written.append(content.count(b'"sha256"'))
        publish(target, content, **options)

    monkeypatch.setattr(durable_files, "write_bytes_durably", counted)
    store = opened(root, 60)
    for number in range(60):
        await seal(store, range(number, number + 1))
        manifest = read_manifest(root)
        assert manifest is not None
        assert [p.path for p in manifest.parts] == [p.path for p in store.folder.manifest.parts]
        assert manifest.recorded == number + 1 == sum(manifest.by_status.values())
    assert sum(written) < 10 * 120  # entries; each time all of them would be 3,660
    assert verify_folder(root).is_sound
    await store.finish(status="complete", reason=None)
    assert not list(root.glob(parts_log.PATTERN))
    assert written[-1] == 120
    assert verify_folder(root).is_sound


async def test_a_kill_loses_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that is whole counts, one that was cut off is written again by the repeated seal."""
    monkeypatch.setattr(parts_log, "FEW_PARTS", 4)
    root = tmp_path / "r"
    store = opened(root, 40)
    number = 0
    while not list(root.glob(parts_log.PATTERN)):
        await seal(store, range(number, number + 1))
        number += 1

    def cut(path: Path, line: parts_log.LogLine) -> None:
        with path.open("ab") as file:
            file.write(b'\n{"parts":[{"path":"recor')
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(parts_log, "append", cut)
        broken.setattr(parts_log, "is_manifest_due", lambda *_: False)
        with pytest.raises(StorageError):
            await seal(store, range(number, number + 1))
    store.close()  # as a kill: run.json is not written any more
    manifest = read_manifest(root)
    assert manifest is not None
    assert len(manifest.parts) == 2 * number
    with monkeypatch.context() as killed:  # once more, as soon as the seal is repeated
        killed.setattr(parts_log, "is_manifest_due", lambda *_: False)
        RunStore(root, code_version="0").close()
    manifest = read_manifest(root)
    assert manifest is not None
    assert len(manifest.parts) == 2 * number + 2
    (log,) = root.glob(parts_log.PATTERN)
    stale = log.read_bytes()
    again = opened(root, 40)
    log.write_bytes(stale)  # a kill before the old log was removed
    await seal(again, range(number + 1, 40))
    assert verify_folder(root).is_sound
    await again.finish(status="complete", reason=None)
    assert verify_folder(root).is_sound
    assert len(Run.open(root).table("records", ["trial_id"])) == 40


def test_a_line_that_is_only_half_written_is_an_error(tmp_path: Path) -> None:
    """A disk that takes a few bytes and then none: the seal must not pass for listed."""
    log = tmp_path / "parts-0.jsonl"
    line = parts_log.LogLine(parts=[], recorded=1, by_status={"ok": 1}, in_doubt=0)
    parts_log.append(log, line)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size + 10, before[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            parts_log.append(log, line)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    parts_log.append(log, line)
    assert parts_log.read(log) == [line, line]


async def test_a_part_that_nothing_lists_is_listed_when_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal has dropped its entries already: a line that the disk has lost costs nothing."""
    monkeypatch.setattr(parts_log, "FEW_PARTS", 4)
    root = tmp_path / "r"
    store = opened(root, 40)
    number = 0
    while not list(root.glob(parts_log.PATTERN)):
        await seal(store, range(number, number + 1))
        number += 1
    store.close()
    (log,) = root.glob(parts_log.PATTERN)
    log.unlink()
    assert not verify_folder(root).is_sound
    again = opened(root, 40)
    assert again.folder.manifest.recorded == number
    assert verify_folder(root).is_sound
    await seal(again, range(number, 40))
    await again.finish(status="complete", reason=None)
    assert verify_folder(root).is_sound
    assert len(Run.open(root).table("records", ["trial_id"])) == 40
