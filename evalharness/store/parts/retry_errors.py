"""Trials that lose their record again: a part that was moved aside, errors to be asked again.

Records leave a sealed part only by writing the part anew under its own name. ``rewriting`` in the
manifest says so beforehand, so that a kill in between leaves a folder that lists itself on the next
opening; either content is whole. Attempts stay where they are: what was sent was sent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalharness.columnar.arrow_ops import where_not_in
from evalharness.records import Outcome, Status
from evalharness.store.folder.run_folder import RunFolder, now_iso
from evalharness.store.journal.crash_recovery import Unfinished
from evalharness.store.parts.part_files import PATTERN, Part, describe, read_sealed, write_table

if TYPE_CHECKING:
    import pyarrow as pa

# What :func:`count_attempts` looks at.
COUNTED = ["trial_id", "attempt", "outcome"]


def relist(folder: RunFolder) -> None:
    """Bring the manifest's list in line with parts that are gone or were being rewritten.

    Raises:
        StorageError: another part is damaged.
    """
    manifest = folder.manifest
    gone = {p.path for p in manifest.parts if not (folder.root / p.path).exists()}
    if not gone and not manifest.rewriting:
        return
    if gone:
        manifest.notes.append(
            f"{now_iso()}: {', '.join(sorted(gone))} gone; what only they held is asked again"
        )
    parts: list[Part] = []
    statuses: Counter[str] = Counter()
    in_doubt = 0
    for part in (p for p in manifest.parts if p.path not in gone):
        path = folder.root / part.path
        is_record = part.path.startswith("records/")
        found = read_sealed(path, ["status" if is_record else "outcome"])
        counts = Counter(str(value) for value in found.column(0).to_pylist())
        if is_record:
            statuses.update(counts)
        else:
            in_doubt += counts[Outcome.IN_DOUBT]
        changed = part.path in manifest.rewriting
        parts.append(describe(folder.root, path, rows=len(found)) if changed else part)
    folder.save_manifest(
        parts=parts,
        recorded=sum(p.rows for p in parts if p.path.startswith("records/")),
        by_status=dict(sorted(statuses.items())),
        in_doubt=in_doubt,
        rewriting=[],
        reopened=True,
    )


def reopen_errors(
    folder: RunFolder, *, prompts: Sequence[str], settings: Sequence[str], repeats: int
) -> int:
    """Take the error records of a plan's trials out of the sealed parts; how many those were.

    Errors of settings, prompts and repeats outside the plan stay: nobody would ask them again.

    Raises:
        StorageError: a part is damaged, or the disk refused.
    """
    import pyarrow as pa

    wanted: dict[str, Any] = {
        "prompt_id": pa.array(list(prompts), pa.string()),
        "setting_id": pa.array(list(settings), pa.string()),
    }
    found: dict[Path, int] = {}
    for path in sorted((folder.root / "records").glob(PATTERN)):
        keys = read_sealed(path, ["status", "prompt_id", "setting_id", "repeat"])
        count = int(_errors(keys, wanted, repeats).sum().as_py() or 0)
        if count:
            found[path] = count
    if not found:
        return 0
    total = sum(found.values())
    folder.manifest.notes.append(f"{now_iso()}: {total} error(s) asked again (--retry-errors)")
    names = [path.relative_to(folder.root).as_posix() for path in found]
    folder.save_manifest(rewriting=names, reopened=True)
    for path in found:
        table = read_sealed(path)
        write_table(path, table.filter(_not(_errors(table, wanted, repeats))))
    relist(folder)
    return total


def _errors(table: pa.Table, wanted: dict[str, Any], repeats: int) -> Any:
    import pyarrow.compute as compute

    calls: Any = compute
    chosen = calls.equal(table["status"], Status.ERROR.value)
    for name, values in wanted.items():
        chosen = calls.and_(chosen, calls.is_in(table[name], value_set=values))
    return calls.and_(chosen, calls.less(table["repeat"], repeats)).combine_chunks()


def _not(mask: Any) -> Any:
    import pyarrow.compute as compute

    calls: Any = compute
    return calls.invert(mask)


def earlier_attempts(folder: RunFolder) -> dict[str, Unfinished]:
    """Attempts in sealed parts of trials that have no record there (any more), by trial_id.

    With them the numbers of attempts go on, and no client request id is used twice.

    Raises:
        StorageError: a part is damaged.
    """
    import pyarrow as pa

    def read(name: str, columns: list[str]) -> pa.Table:
        paths = sorted((folder.root / name).glob(PATTERN))
        empty = pa.table({column: pa.array([], pa.string()) for column in columns})
        return pa.concat_tables([read_sealed(p, columns) for p in paths]) if paths else empty

    attempts = read("attempts", COUNTED)
    left = where_not_in(attempts, "trial_id", read("records", ["trial_id"])["trial_id"])
    return count_attempts(left)


def count_attempts(table: pa.Table) -> dict[str, Unfinished]:
    """Attempts as recovery counts them, by trial_id; of a table with the columns ``COUNTED``."""
    found: dict[str, Unfinished] = {}
    for row in table.to_pylist():
        state = found.setdefault(row["trial_id"], Unfinished())
        state.attempts = max(state.attempts, row["attempt"])
        state.sent += row["outcome"] != Outcome.NOT_SENT
        if row["outcome"] == Outcome.IN_DOUBT:
            state.in_doubt += 1
    return found
