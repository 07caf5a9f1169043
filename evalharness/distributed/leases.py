"""The lease ledger: which worker has which shard, and where its journal is.

Where workers upload their parts, it also names the numbers of the parts that each may upload.

It is needed where journals are on workers' own disks. A lease is on disk before the worker gets
the shard. When such a disk is lost, the worker's trials without a record may have been sent and
billed; the ledger says which they are. It is a file of the run folder, ``journal/leases.jsonl``,
that is only appended to, and is removed when all journals are settled.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from evalharness.distributed.shard_board import Shard
from evalharness.errors import StorageError
from evalharness.records import Intent, Trial
from evalharness.runner.queue import attempt_key, client_request_id
from evalharness.store.folder import durable_files

if TYPE_CHECKING:
    from evalharness.distributed.messages import Lease
    from evalharness.planning.plan import Plan

FILE = "leases.jsonl"


class JournalLocation(NamedTuple):
    """Where a worker's journal is: a node of the cluster, and a folder there."""

    node: str
    folder: str


class _LedgerLine(msgspec.Struct, omit_defaults=True):
    """One line of the file; the fields that are set say what it records."""

    plan: str | None = None
    worker: str | None = None
    node: str | None = None
    folder: str | None = None
    shard: tuple[int, int] | None = None
    part: int | None = None
    over: bool = False


class LeaseLedger:
    """The ledger of one run folder.

    Args:
        folder: where it is kept.
        plan: its :func:`plan_fingerprint`, because shards are positions in one plan's order.

    Attributes:
        journals: of workers that are not settled.
        shards: that each of them had.
        parts: numbers of the parts that each of them may have uploaded.

    Raises:
        StorageError: it cannot be read, or is about another plan.
    """

    def __init__(self, folder: Path, plan: str) -> None:
        self._path = folder / FILE
        self._plan = plan
        self._has_header = False  # whether the file names its plan already
        self._lock = threading.Lock()  # each call is made in its own thread
        self.journals: dict[str, JournalLocation] = {}
        self.shards: dict[str, list[Shard]] = {}
        self.parts: dict[str, list[int]] = {}
        for line in _lines(self._path):
            self._read(line)

    def register_worker(self, worker: str, location: JournalLocation) -> None:
        """A worker begins, with its journal at this location."""
        lines = [_LedgerLine(worker=worker, node=location.node, folder=location.folder)]
        with self._lock:
            if not self._has_header:
                lines.insert(0, _LedgerLine(plan=self._plan))
            self._append(lines)
            self._has_header = True
            self.journals[worker] = location

    def record_leases(self, leases: Sequence[Lease]) -> None:
        """Workers get shards or parts; one that was closed meanwhile is dead, and gets none."""
        with self._lock:
            open_leases = [lease for lease in leases if lease.worker in self.journals]
            if not open_leases:
                return
            self._append(
                [
                    _LedgerLine(worker=lease.worker, shard=lease.shard, part=lease.part)
                    for lease in open_leases
                ]
            )
            for lease in open_leases:
                self._note(lease.worker, lease.shard, lease.part)

    def close_worker(self, worker: str) -> None:
        """All trials of a worker are recorded, in the main journal, or in doubt."""
        with self._lock:
            if self.journals.pop(worker, None) is None:
                return
            self.shards.pop(worker, None)
            self.parts.pop(worker, None)
            if self.journals:
                self._append([_LedgerLine(worker=worker, over=True)])
            else:
                self._path.unlink(missing_ok=True)
                self._has_header = False
                durable_files.sync_folder(self._path.parent)

    def _read(self, line: _LedgerLine) -> None:
        if line.plan is not None and line.plan != self._plan:
            raise StorageError(
                f"{self._path}: journals of workers are out with another plan",
                hint="run once more what was run last, which settles them; then change the plan",
            )
        self._has_header |= line.plan is not None
        if line.worker is None:
            return
        if line.over:
            self.journals.pop(line.worker, None)
            self.shards.pop(line.worker, None)
            self.parts.pop(line.worker, None)
        elif line.shard is not None or line.part is not None:
            self._note(line.worker, line.shard, line.part)
        else:
            self.journals[line.worker] = JournalLocation(line.node or "", line.folder or "")

    def _note(self, worker: str, shard: tuple[int, int] | None, part: int | None) -> None:
        if shard is not None:
            self.shards.setdefault(worker, []).append(Shard(*shard))
        if part is not None:
            self.parts.setdefault(worker, []).append(part)

    def _append(self, lines: list[_LedgerLine]) -> None:
        # The first newline is for a line that a kill or a full disk has cut off.
        content = b"\n" + b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
        try:
            fd = os.open(
                self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, durable_files.FILE_MODE
            )
            with os.fdopen(fd, "wb") as file:
                file.write(content)
                file.flush()
                durable_files.ops.fsync(file.fileno())
            durable_files.sync_folder(self._path.parent)
        except OSError as error:
            raise StorageError(f"cannot write {self._path}: {error.strerror}") from error


def has_open_leases(root: Path) -> bool:
    """Whether journals on workers' own disks are not settled."""
    return (root / "journal" / FILE).exists()


def refuse_open_leases(root: Path) -> None:
    """Refuse a session that cannot fetch journals from other machines.

    Raises:
        StorageError: there are such journals.
    """
    if has_open_leases(root):
        raise StorageError(
            f"{root / 'journal' / FILE}: workers have journals on disks of their own, with answers "
            "not sealed yet",
            hint="go on with execution=ray, execution.journal_dir=… and the same cluster, which "
            "fetches them or, where a machine is lost, lists in doubt what it had",
        )


def plan_fingerprint(plan: Plan) -> str:
    """A hash of everything that the positions of a plan's order depend on."""
    parts = [plan.config.order, plan.repeats, [s.setting_id for s in plan.settings], plan.digests]
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:16]


def possible_intents(
    trials: Iterator[Trial],
    attempts: Callable[[str], int],
    worst_case: Callable[[Trial], Decimal | None],
    at_ns: int,
) -> list[Intent]:
    """Intents of attempts that a lost journal may have held, one a trial.

    Args:
        trials: that a lost worker had and that have no record.
        attempts: how many attempts at a trial are known, by trial_id.
        worst_case: upper bound of the cost of one, in US dollars.
        at_ns: when the loss was noticed, in Unix nanoseconds; when they were sent is not known.
    """
    return [
        Intent(
            trial_id=trial.trial_id,
            prompt_id=trial.prompt.prompt_id,
            setting_id=trial.setting.setting_id,
            repeat=trial.repeat,
            position=trial.position,
            attempt=(attempt := attempts(trial.trial_id) + 1),
            client_request_id=client_request_id(attempt_key(trial.trial_id, attempt)),
            admitted_at_ns=at_ns,
            in_flight=1,
            reserved_usd=worst_case(trial),
        )
        for trial in trials
    ]


def _lines(path: Path) -> Iterator[_LedgerLine]:
    """The lines of the file; the last may have been cut off by a kill, before it had any effect."""
    if not path.exists():
        return
    for line in path.read_bytes().splitlines():
        try:
            yield msgspec.json.decode(line, type=_LedgerLine)
        except msgspec.MsgspecError:
            continue
