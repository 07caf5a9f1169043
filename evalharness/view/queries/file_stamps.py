"""What tells that a file was written since it was last read."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from evalharness.store.folder.run import Run
from evalharness.store.journal.worker_journals import journal_paths


class Stamp(NamedTuple):
    """What changes when a file is written."""

    path: str
    size: int
    modified_ns: int
    inode: int


def stamps(paths: Sequence[Path]) -> list[Stamp]:
    """What the files are now; one that vanished is left out."""
    stamps: list[Stamp] = []
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            status = path.stat()
            stamps.append(
                Stamp(str(path.absolute()), status.st_size, status.st_mtime_ns, status.st_ino)
            )
    return stamps


def mark_stamps(run: Run) -> list[Stamp]:
    """What changes with a mark, where the run is scored by marks."""
    is_scored = "human" in (run.config_yaml or "")
    return stamps([run.root / "annotations.parquet"]) if is_scored else []


def journal_stamps(root: Path) -> list[Stamp]:
    """What changes when something is recorded; a file for readers is no sign of it."""
    files = [[path, path.with_name(f"{path.name}-wal")] for path in journal_paths(root)]
    return stamps([path for both in files for path in both])
