"""The marks of records: durable, none is lost, and a damaged file is set aside."""

from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.errors import StorageError
from evalharness.store.folder import durable_files
from evalharness.store.folder.annotations import (
    READER,
    Annotation,
    Edit,
    Mark,
    TrialKey,
    apply_edits,
    change_annotations,
    read_annotations,
    reader_name,
)
from evalharness.store.folder.run import find_run
from evalharness.store.parts.verify import verify_folder
from evalharness.store.remote.locations import STAGING
from evalharness.store.remote.object_store import RemoteFolder
from tests.store.remote.conftest import s3, store

__all__ = ["s3", "store"]

FILE = "annotations.parquet"
WRITER = """
import sys
from pathlib import Path
from evalharness.store.folder.annotations import Edit, Mark, TrialKey, change_annotations
for number in range(int(sys.argv[3])):
    trial = TrialKey(f"{sys.argv[2]}-{number}", "p", "s", number)
    change_annotations(Path(sys.argv[1]), [Edit(trial=trial, reader=sys.argv[2], mark=Mark.PASS)])
    print(number, flush=True)
"""


def edit(trial: str, mark: Mark | None = Mark.PASS, reader: str = "anna") -> Edit:
    return Edit(trial=TrialKey(trial, "p", "s", 0), reader=reader, mark=mark)


def writer(root: Path, reader: str, marks: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(root), reader, str(marks)], stdout=subprocess.PIPE
    )


def test_marks_and_notes(tmp_path: Path) -> None:
    """What an edit does not set stays; a record with neither mark nor note has no row."""
    change_annotations(tmp_path, [edit("t1"), edit("t2", Mark.FAIL)])
    note = Edit(trial=TrialKey("t1", "p", "s", 0), reader="anna", note="too long", marked_at=7)
    rows = {row.trial_id: row for row in change_annotations(tmp_path, [note]).rows}
    assert (rows["t1"].mark, rows["t1"].note, rows["t1"].marked_at) == (Mark.PASS, "too long", 7)
    assert read_annotations(tmp_path).rows == list(rows.values())
    change_annotations(tmp_path, [edit("t1", None), edit("t2", None)])
    assert [(row.trial_id, row.mark) for row in read_annotations(tmp_path).rows] == [("t1", None)]
    assert read_annotations(tmp_path / "none") == ([], None)


def test_two_processes_at_once_lose_nothing(tmp_path: Path) -> None:
    """Each change begins with what the one before it left."""
    processes = [writer(tmp_path, reader, 12) for reader in ("anna", "bob")]
    for process in processes:
        process.communicate()
        assert process.returncode == 0
    rows = read_annotations(tmp_path).rows
    assert sorted(row.trial_id for row in rows) == sorted(
        f"{reader}-{n}" for reader in ("anna", "bob") for n in range(12)
    )
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: change_annotations(tmp_path, [edit(f"t{n}")]), range(12)))
    assert len(read_annotations(tmp_path).rows) == 36


@pytest.mark.parametrize("acknowledged", [0, 3])
def test_a_killed_writer_loses_no_acknowledged_mark(tmp_path: Path, acknowledged: int) -> None:
    """Killed somewhere behind the n-th: those n are there, and the file is whole."""
    with writer(tmp_path, "anna", 10_000) as process:
        assert process.stdout is not None
        for _ in range(acknowledged + 1):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        seen = acknowledged + 1 + len(process.stdout.read().splitlines())
    annotations = read_annotations(tmp_path)
    assert annotations.damage is None
    assert seen <= len(annotations.rows) <= seen + 1
    assert len(change_annotations(tmp_path, [edit("after")]).rows) == len(annotations.rows) + 1


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_change_is_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    """It is synced before it takes the place of the old file, and the disk may refuse."""
    change_annotations(tmp_path, [edit("old")])

    class FullDisk(durable_files.FileOps):
        def fsync(self, fd: int) -> None:
            if failing == "fsync":
                raise OSError(28, "No space left on device")
            super().fsync(fd)

        def replace(self, source: Path, target: Path) -> None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(durable_files, "ops", FullDisk())
    with pytest.raises(StorageError, match="No space left"):
        change_annotations(tmp_path, [edit("new")])
    assert [row.trial_id for row in read_annotations(tmp_path).rows] == ["old"]
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize("damage", ["cut", "bit", "other"])
def test_a_damaged_file_is_said_and_set_aside(tmp_path: Path, damage: str) -> None:
    """Reading says why; the next change renames it and begins anew, so that nothing is lost."""
    change_annotations(tmp_path, [edit(f"t{n}") for n in range(50)])
    content = (tmp_path / FILE).read_bytes()
    at = len(content) // 3
    bad = {
        "cut": content[:-20],
        "bit": content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :],
        "other": b"no table",
    }[damage]
    (tmp_path / FILE).write_bytes(bad)
    assert read_annotations(tmp_path).damage
    assert (FILE, read_annotations(tmp_path).damage) in [
        (finding.where, finding.problem) for finding in verify_folder(tmp_path).findings
    ]
    change = change_annotations(tmp_path, [edit("new")])
    assert change.set_aside is not None
    assert change.set_aside.read_bytes() == bad
    assert [row.trial_id for row in read_annotations(tmp_path).rows] == ["new"]
    assert FILE not in [finding.where for finding in verify_folder(tmp_path).findings]


def test_a_run_in_a_store(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store's file counts: what one machine marks, another reads and keeps."""
    base, _, query = store.partition("?")
    url = f"{base}/r?{query}" if query else f"{base}/r"
    manifest = (
        b'{"schema_version":2,"code_version":"x","name":"r","status":"complete","created_at":"",'
        b'"updated_at":""}'
    )
    RemoteFolder(url).write("run.json", manifest)
    for machine in ("here", "there"):
        monkeypatch.setenv(STAGING, str(tmp_path / machine))
        change_annotations(find_run(url), [edit(machine)])
    monkeypatch.setenv(STAGING, str(tmp_path / "here"))
    root = find_run(url)
    assert [row.trial_id for row in read_annotations(root).rows] == ["here", "there"]
    RemoteFolder(url).write(FILE, b"no table")
    change = change_annotations(root, [edit("again")])
    assert change.set_aside is not None
    assert change.set_aside.read_bytes() == b"no table"
    assert [row.trial_id for row in read_annotations(find_run(url)).rows] == ["again"]


def test_who_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable, else the user."""
    monkeypatch.setenv(READER, " anna ")
    assert reader_name() == "anna"
    monkeypatch.setenv(READER, "")
    assert reader_name()


KEYS = st.tuples(st.sampled_from("ab"), st.sampled_from(["anna", "bob"]))
EDITS = st.lists(st.tuples(KEYS, st.sampled_from([*Mark, None])), max_size=12)


@given(EDITS)
def test_the_last_edit_of_a_reader_counts(edits: list[tuple[tuple[str, str], Mark | None]]) -> None:
    rows = apply_edits([], [edit(trial, mark, reader) for (trial, reader), mark in edits])
    last = dict(edits)
    assert {(row.trial_id, row.reader): row.mark for row in rows} == {
        key: mark for key, mark in last.items() if mark is not None
    }


@given(EDITS)
def test_edits_one_by_one_or_together(edits: list[tuple[tuple[str, str], Mark | None]]) -> None:
    made = [
        Edit(trial=TrialKey(trial, "p", "s", 0), reader=reader, mark=mark, marked_at=1)
        for (trial, reader), mark in edits
    ]
    rows: list[Annotation] = []
    for one in made:
        rows = apply_edits(rows, [one])
    assert rows == apply_edits([], made)
