"""A run.json that is lost or damaged is rebuilt from the files beside it; what is lost is said."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from evalharness.errors import RunInUseError, RunNotFoundError
from evalharness.store.folder.control import ControlChange
from evalharness.store.folder.rebuild_manifest import rebuild_manifest
from evalharness.store.folder.run import Run
from evalharness.store.folder.run_folder import RunFolder, read_manifest
from evalharness.store.folder.writer import RunStore
from evalharness.store.parts import parts_log
from evalharness.store.parts.verify import verify_folder
from evalharness.store.remote.locations import results_root
from tests.store.sample_run import fill, intent, open_store, result

# What only the manifest knows of a run.
LOST = {"environment", "sessions", "throttle", "notes", "updated_at", "parts_log"}


async def _complete_run(root: Path, *, seals: int = 1) -> None:
    store = open_store(root, 4)
    store.start()
    for number in range(4):
        await store.append(intent(number))
        await store.append(result(number))
        if number < seals - 1:
            await store.seal()
    (root / "config.yaml").write_text("repeats: 1\nprovider: {name: local, verify: false}\n")
    await store.finish(status="complete", reason=None, unverified=["local"])


def _fields(root: Path) -> dict[str, Any]:
    manifest = read_manifest(root)
    assert manifest is not None
    return {k: v for k, v in msgspec.to_builtins(manifest).items() if k not in LOST}


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "garbage"])
def test_the_manifest_of_a_complete_run(tmp_path: Path, damage: str) -> None:
    """Parts, counts, plan and status are those of before; the damaged file is kept."""
    root = tmp_path / "run"
    asyncio.run(_complete_run(root, seals=3))
    before, path = _fields(root), root / "run.json"
    content = {"empty": b"", "cut": path.read_bytes()[:200], "garbage": b"\x93\xff{" * 9}
    path.unlink()
    if damage != "missing":
        path.write_bytes(content[damage])
    with pytest.raises(RunNotFoundError, match=r"run\.json") as refused:
        Run.open(root)
    assert "--repair rebuilds it" in (refused.value.hint or "")
    assert not verify_folder(root).is_sound
    unknown = rebuild_manifest(root).unknown
    after = _fields(root)
    if damage != "cut":  # its first lines are whole
        assert (before.pop("code_version"), after.pop("code_version")) == ("test", "unknown")
        assert before.pop("created_at") != after.pop("created_at") == "2023-11-14T22:13:20+00:00"
        assert any("which version" in phrase for phrase in unknown)
    assert after == before
    assert verify_folder(root).is_sound
    run = Run.open(root)
    assert (len(run.table("records")), run.manifest.sessions) == (4, [])
    assert "whether the Parquet files are as they were sealed" in run.manifest.notes[0]
    kept = root / "run.json.damaged"
    assert (kept.read_bytes() if kept.exists() else b"") == content.get(damage, b"")


@pytest.mark.parametrize("part", ["head", "end", "control"])
def test_changes_of_the_running_run_are_kept(tmp_path: Path, part: str) -> None:
    """Where the damage is elsewhere; where it is there, they are among the unknown."""
    root = tmp_path / "run"
    asyncio.run(_complete_run(root))
    changes = [
        ControlChange(at="2026-01-01T00:00:00.000Z", who="anna", command="set", key="rpm", old=None,
                      new=60, reason='"too ä fast"'),
        ControlChange(at="2026-01-01T00:00:01.000Z", who="anna", command="pause"),
    ]  # fmt: skip
    folder = RunFolder.open(root, code_version="test")
    folder.save_manifest(control=changes)
    folder.close()
    content = (root / "run.json").read_bytes()
    damaged = {
        "head": content.replace(b'"status"', b'"sta\xff', 1),
        "end": content[: content.rindex(b"]") + 1],
        "control": content.replace(b'"pause"', b'"stop"', 1),
    }[part]
    (root / "run.json").write_bytes(damaged)
    rebuilt = rebuild_manifest(root)
    assert rebuilt.manifest.control == ([] if part == "control" else changes)
    is_unknown = "what users changed while it ran" in rebuilt.unknown
    assert is_unknown == (part == "control")
    assert Run.open(root).manifest.control == rebuilt.manifest.control


async def test_a_run_that_was_killed(tmp_path: Path) -> None:
    """What only the journal holds stays there, an open seal too; the next session takes it over."""
    live, root = tmp_path / "live", tmp_path / "run"
    store = open_store(live, 4)
    (live / "config.yaml").write_text("repeats: 1\n")
    await fill(store, range(2))
    await store.seal()
    await store.append(intent(2))
    await store.append(result(2))
    await store.append(intent(3))
    shutil.copytree(live, root)
    store.close()
    (root / "run.json").write_bytes(b"")
    manifest = rebuild_manifest(root).manifest
    assert (manifest.status, manifest.planned, manifest.recorded) == ("interrupted", 4, 2)
    assert len(Run.open(root).table("records")) == 3
    report = verify_folder(root)
    assert (report.is_sound, report.unsealed, report.in_doubt) == (True, 1, 1)
    again = RunStore(root, code_version="test")
    assert set(again.done_keys()["prompt_id"].to_pylist()) == {"p0", "p1", "p2"}
    again.close()


def test_a_damaged_part_is_named_and_not_listed(tmp_path: Path) -> None:
    """The rest is; what the part held is among the unknown."""
    root = tmp_path / "run"
    asyncio.run(_complete_run(root, seals=3))
    (root / "records" / "part-000002.parquet").write_bytes(b"garbage")
    (root / "run.json").unlink()
    rebuilt = rebuild_manifest(root)
    assert "what records/part-000002.parquet held, which is damaged" in rebuilt.unknown
    assert (rebuilt.manifest.status, rebuilt.manifest.recorded) == ("interrupted", 3)
    assert rebuilt.manifest.reopened  # its attempts are known


def test_sums_of_the_parts_log_are_kept(tmp_path: Path) -> None:
    """A part that changed since it was sealed is still found out where the log has its sum."""
    root = tmp_path / "run"
    asyncio.run(_complete_run(root))
    manifest = read_manifest(root)
    assert manifest is not None
    changed = [msgspec.structs.replace(part, sha256="0" * 64) for part in manifest.parts]
    line = parts_log.LogLine(parts=changed, recorded=4, by_status={"ok": 4}, in_doubt=0)
    parts_log.append(parts_log.log_path(root, 7), line)
    (root / "run.json").write_bytes(b"")
    assert rebuild_manifest(root).manifest.parts_log > 7
    problems = {finding.problem for finding in verify_folder(root).findings}
    assert problems == {"its content is not what was sealed"}


def test_it_is_left_alone_while_it_is_written(tmp_path: Path) -> None:
    """A process that writes the run has the manifest in memory."""
    store = open_store(tmp_path / "run")
    with pytest.raises(RunInUseError):
        rebuild_manifest(tmp_path / "run")
    store.close()


def test_a_run_that_was_only_begun(tmp_path: Path) -> None:
    """Killed before its plan was written it has a manifest, is sound, and is begun again."""
    root = tmp_path / "run"
    RunFolder.open(root, code_version="test").close()
    manifest = read_manifest(root)
    assert manifest is not None
    assert manifest.is_only_begun
    assert verify_folder(root).is_sound
    store = open_store(root)
    assert store.recovery.damage == []  # a journal that was never there is not lost
    store.close()
    assert json.loads((root / "run.json").read_bytes())["planned"] == 3


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"a: [1\n", "malformed YAML"), (b"text\n", "it holds no keys"), (b"\xff\xfe\x00", "not UTF-8"),
     (b"scoring: 3\n", "`scoring`: must be a list"), (None, "missing")],
)  # fmt: skip
def test_a_damaged_configuration_is_found(
    tmp_path: Path, content: bytes | None, problem: str
) -> None:
    """A run is scored and priced by it, so that a folder without it is not sound."""
    root = tmp_path / "run"
    asyncio.run(_complete_run(root))
    (root / "config.yaml").unlink()
    if content is not None:
        (root / "config.yaml").write_bytes(content)
    (finding,) = verify_folder(root).findings
    assert finding.where == "config.yaml"
    assert problem in finding.problem


def test_a_damaged_manifest_of_a_local_copy(tmp_path: Path) -> None:
    """Of a run in an object store, too, the message leads to the repair."""
    url, copies = f"file://{tmp_path}/store", tmp_path / "copies"
    root = results_root(url, str(copies)) / "run"
    asyncio.run(_complete_run(root))
    (root / "run.json").write_bytes(b"")
    with pytest.raises(RunNotFoundError, match=r"run\.json is empty") as refused:
        RunStore(root, code_version="test")
    assert "--repair rebuilds it" in (refused.value.hint or "")
    assert rebuild_manifest(root).manifest.status == "complete"
    store = RunStore(root, code_version="test")
    assert len(store.done_keys()) == 4
    store.close()
