"""Which worker has which shard, and where its journal is: on disk before the worker has it.

Needed where journals are on workers' own disks. When such a disk is lost, whatever its worker had
and no part holds may have been sent and billed: the ledger says what that is. It is a file of the
run folder, ``journal/leases.jsonl``, that is only ever appended to, and goes when all is settled.
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
from evalharness.store.folder import durable_files

if TYPE_CHECKING:
    from evalharness.distributed.messages import Lease
    from evalharness.planning.plan import Plan

FILE = "leases.jsonl"


class Where(NamedTuple):
    """Where a worker's journal is: a node of the cluster, and a folder there."""

    node: str
    folder: str


class _Line(msgspec.Struct, omit_defaults=True):
    """One line: what is set says what it is about."""

    plan: str | None = None
    worker: str | None = None
    node: str | None = None
    folder: str | None = None
    shard: tuple[int, int] | None = None
    over: bool = False


class Leases:
    """The ledger of one run folder.

    Args:
        folder: where it is kept.
        plan: what :func:`fingerprint` says: shards are positions in one plan's order.

    Attributes:
        journals: of workers that are not settled.
        shards: what each of them had.

    Raises:
        StorageError: it cannot be read, or is about another plan.
    """

    def __init__(self, folder: Path, plan: str) -> None:
        self._path = folder / FILE
        self._plan = plan
        self._headed = False  # the file says which plan it is about
        self._changing = threading.Lock()  # each call is made in a thread of its own
        self.journals: dict[str, Where] = {}
        self.shards: dict[str, list[Shard]] = {}
        for line in _lines(self._path):
            self._read(line)

    def begin(self, worker: str, where: Where) -> None:
        """A worker begins, with its journal there."""
        lines = [_Line(worker=worker, node=where.node, folder=where.folder)]
        with self._changing:
            if not self._headed:
                lines.insert(0, _Line(plan=self._plan))
            self._append(lines)
            self._headed = True
            self.journals[worker] = where

    def lease(self, leases: Sequence[Lease]) -> None:
        """Workers get shards; one that is settled meanwhile is dead, and gets none."""
        with self._changing:
            alive = [one for one in leases if one.worker in self.journals]
            if not alive:
                return
            self._append([_Line(worker=one.worker, shard=one.shard) for one in alive])
            for one in alive:
                self.shards.setdefault(one.worker, []).append(one.shard)

    def over(self, worker: str) -> None:
        """All that a worker had is recorded, in the main journal, or in doubt."""
        with self._changing:
            if self.journals.pop(worker, None) is None:
                return
            self.shards.pop(worker, None)
            if self.journals:
                self._append([_Line(worker=worker, over=True)])
            else:
                self._path.unlink(missing_ok=True)
                self._headed = False
                durable_files.sync_folder(self._path.parent)

    def _read(self, line: _Line) -> None:
        if line.plan is not None and line.plan != self._plan:
            raise StorageError(
                f"{self._path}: journals of workers are out with another plan",
                hint="run once more what was run last, which settles them; then change the plan",
            )
        self._headed |= line.plan is not None
        if line.worker is None:
            return
        if line.over:
            self.journals.pop(line.worker, None)
            self.shards.pop(line.worker, None)
        elif line.shard is not None:
            self.shards.setdefault(line.worker, []).append(Shard(*line.shard))
        else:
            self.journals[line.worker] = Where(line.node or "", line.folder or "")

    def _append(self, lines: list[_Line]) -> None:
        # On lines of their own also where a kill or a full disk has cut off the one before.
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


def out(root: Path) -> bool:
    """Whether workers of a run have journals on disks of their own that are not settled."""
    return (root / "journal" / FILE).exists()


def refuse_open(root: Path) -> None:
    """Stop a session that would not fetch them while journals are on other machines.

    Raises:
        StorageError: there are some.
    """
    if out(root):
        raise StorageError(
            f"{root / 'journal' / FILE}: workers have journals on disks of their own, with answers "
            "not sealed yet",
            hint="go on with execution=ray, execution.journal_dir=… and the same cluster, which "
            "fetches them or, where a machine is lost, lists in doubt what it had",
        )


def fingerprint(plan: Plan) -> str:
    """What the positions of a plan's order depend on."""
    said = [plan.config.order, plan.repeats, [s.setting_id for s in plan.settings], plan.digests]
    return hashlib.sha256(msgspec.json.encode(said)).hexdigest()[:16]


def perhaps_sent(
    trials: Iterator[Trial],
    attempts: Callable[[str], int],
    worst_case: Callable[[Trial], Decimal | None],
    at_ns: int,
) -> list[Intent]:
    """Intents of attempts that a lost journal may have held, one a trial.

    Args:
        trials: that a lost worker had and that have no record.
        attempts: how many attempts at a trial are known, by trial_id.
        worst_case: what one may have cost at most, in US dollars.
        at_ns: when the loss was noticed, in Unix nanoseconds: when they were sent nobody knows.
    """
    return [
        Intent(
            trial_id=trial.trial_id,
            prompt_id=trial.prompt.prompt_id,
            setting_id=trial.setting.setting_id,
            repeat=trial.repeat,
            position=trial.position,
            attempt=(attempt := attempts(trial.trial_id) + 1),
            client_request_id=f"evh-{trial.trial_id}.{attempt}",
            admitted_at_ns=at_ns,
            in_flight=1,
            reserved_usd=worst_case(trial),
        )
        for trial in trials
    ]


def _lines(path: Path) -> Iterator[_Line]:
    """The lines there are; the last may have been cut off by a kill, before anybody acted on it."""
    if not path.exists():
        return
    for line in path.read_bytes().splitlines():
        try:
            yield msgspec.json.decode(line, type=_Line)
        except msgspec.MsgspecError:
            continue
