"""Retry of recorded errors, with ``--retry-errors``: removes error records from sealed parts.

Their trials, and those of a part that a person has moved away, are sent again by the next run.
Records are removed by rewriting a part under its own name. The manifest names the part in
``rewriting`` before, so that after a kill the next opening corrects the list
(:func:`relist_parts`); the part itself is complete before and after. Attempts are never removed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalharness.columnar.arrow_ops import where_not_in
from evalharness.records import Outcome, Status
from evalharness.store.folder.run_folder import RunFolder, now_iso
from evalharness.store.journal.crash_recovery import UnfinishedTrial
from evalharness.store.parts.part_files import PATTERN, Part, describe, read_sealed, write_table

if TYPE_CHECKING:
    import pyarrow as pa

# The columns that :func:`count_attempts` reads.
ATTEMPT_COLUMNS = ["trial_id", "attempt", "outcome"]


def relist_parts(folder: RunFolder) -> None:
    """Update the manifest's list for parts that are missing or were being rewritten.

    Raises:
        StorageError: another part is damaged.
    """
    manifest = folder.manifest
    missing = {p.path for p in manifest.parts if not (folder.root / p.path).exists()}
    if not missing and not manifest.rewriting:
        return
    if missing:
        manifest.notes.append(
            f"{now_iso()}: {', '.join(sorted(missing))} gone; what only they held is asked again"
        )
    parts: list[Part] = []
    statuses: Counter[str] = Counter()
    in_doubt = 0
    for part in (p for p in manifest.parts if p.path not in missing):
        path = folder.root / part.path
        is_record = part.path.startswith("records/")
        column = read_sealed(path, ["status" if is_record else "outcome"])
        counts = Counter(str(value) for value in column.column(0).to_pylist())
        if is_record:
            statuses.update(counts)
        else:
            in_doubt += counts[Outcome.IN_DOUBT]
        changed = part.path in manifest.rewriting
        parts.append(describe(folder.root, path, rows=len(column)) if changed else part)
    folder.save_manifest(
        parts=parts,
        recorded=sum(p.rows for p in parts if p.path.startswith("records/")),
        by_status=dict(sorted(statuses.items())),
        in_doubt=in_doubt,
        rewriting=[],
        reopened=True,
    )


def remove_error_records(
    folder: RunFolder, *, prompts: Sequence[str], settings: Sequence[str], repeats: int
) -> int:
    """Remove the error records of a plan's trials from the sealed parts; returns their number.

    Errors of settings, prompts and repeats outside the plan stay, as they would not be retried.

    Raises:
        StorageError: a part is damaged, or the disk refused.
    """
    import pyarrow as pa

    wanted: dict[str, Any] = {
        "prompt_id": pa.array(list(prompts), pa.string()),
        "setting_id": pa.array(list(settings), pa.string()),
    }
    error_counts: dict[Path, int] = {}
    for path in sorted((folder.root / "records").glob(PATTERN)):
        keys = read_sealed(path, ["status", "prompt_id", "setting_id", "repeat"])
        count = int(_error_mask(keys, wanted, repeats).sum().as_py() or 0)
        if count:
            error_counts[path] = count
    if not error_counts:
        return 0
    total = sum(error_counts.values())
    folder.manifest.notes.append(f"{now_iso()}: {total} error(s) asked again (--retry-errors)")
    names = [path.relative_to(folder.root).as_posix() for path in error_counts]
    folder.save_manifest(rewriting=names, reopened=True)
    for path in error_counts:
        table = read_sealed(path)
        write_table(path, table.filter(_not(_error_mask(table, wanted, repeats))))
    relist_parts(folder)
    return total


def _error_mask(table: pa.Table, wanted: dict[str, Any], repeats: int) -> Any:
    import pyarrow.compute as compute

    calls: Any = compute
    mask = calls.equal(table["status"], Status.ERROR.value)
    for name, values in wanted.items():
        mask = calls.and_(mask, calls.is_in(table[name], value_set=values))
    return calls.and_(mask, calls.less(table["repeat"], repeats)).combine_chunks()


def _not(mask: Any) -> Any:
    import pyarrow.compute as compute

    calls: Any = compute
    return calls.invert(mask)


def earlier_attempts(folder: RunFolder) -> dict[str, UnfinishedTrial]:
    """Attempts in sealed parts of trials that have no record there, by trial_id.

    Attempt numbers continue after them, so that no client request id is used twice.

    Raises:
        StorageError: a part is damaged.
    """
    import pyarrow as pa

    def read(name: str, columns: list[str]) -> pa.Table:
        paths = sorted((folder.root / name).glob(PATTERN))
        empty = pa.table({column: pa.array([], pa.string()) for column in columns})
        return pa.concat_tables([read_sealed(p, columns) for p in paths]) if paths else empty

    attempts = read("attempts", ATTEMPT_COLUMNS)
    unrecorded = where_not_in(attempts, "trial_id", read("records", ["trial_id"])["trial_id"])
    return count_attempts(unrecorded)


def count_attempts(table: pa.Table) -> dict[str, UnfinishedTrial]:
    """Attempts by trial_id, counted as in crash recovery, from a table of ``ATTEMPT_COLUMNS``."""
    trials: dict[str, UnfinishedTrial] = {}
    for row in table.to_pylist():
        state = trials.setdefault(row["trial_id"], UnfinishedTrial())
        state.attempts = max(state.attempts, row["attempt"])
        state.sent += row["outcome"] != Outcome.NOT_SENT
        if row["outcome"] == Outcome.IN_DOUBT:
            state.in_doubt += 1
    return trials
