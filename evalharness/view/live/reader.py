"""Counts of a running run, from its journal and its new parts; the run is not touched.

Only what is new is read: short reads of the journal (see
:mod:`~evalharness.store.journal.live_read`), and every part once. What requests wait for, only the
run's process knows: it says so in ``control/status.json`` while somebody watches.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import msgspec

from evalharness.columnar.arrow_ops import read_parquet
from evalharness.config.limit_changes import LimitValue
from evalharness.pricing.attempts import COLUMNS
from evalharness.records import AttemptResult, ErrorKind, Intent, Outcome
from evalharness.runner.control.changes import state_after
from evalharness.store.folder.control import RunStatus, read_status, watch
from evalharness.store.folder.lock import holder_has_ended
from evalharness.store.folder.run_folder import MANIFEST, Manifest, read_manifest
from evalharness.store.journal.live_read import JournalTail
from evalharness.store.journal.worker_journals import journal_paths
from evalharness.view.live.prices import RunPrices

_RATE_WINDOW_S = 10.0
_STATUS_AGE_S = 5.0
_PARTS_OF_A_LOOK = 4  # of attempts, priced in one look; an old run has many
_FREE = Decimal(0), Decimal(0)
_LAST_PARTS = 2  # whose entries may still be in the journal

Key = tuple[str, int]  # trial and attempt


class LiveFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a run at a moment.

    Attributes:
        at: the moment, ISO 8601 in UTC.
        state: ``running``, ``paused``, ``died``, or the status of a run that has ended.
        reason: why it ended; null while it runs, and where it is complete.
        planned: trials of the plan; null where that is not known.
        recorded: trials with a record.
        by_status: the same by status.
        errors: failed attempts by kind, retried ones too; without those given back unsent.
        in_flight: requests whose answer is not recorded yet.
        per_s: trials recorded per second, of the last ten seconds; null in the first one.
        left_s: seconds left at that rate; null where unknown.
        spent_usd: billed, or by price; without attempts of unknown cost.
        in_doubt_usd: worst cases of attempts that may have been charged.
        is_spend_complete: whether all parts are counted; of a long run they are counted one by one.
        waiting: what requests wait for; null where they do not, or nobody knows.
        waiting_s: how long still, in seconds; null where unknown.
        limits: that hold now, by key; null is no limit, and empty where not known.
        refuses: why it takes no changes; null where it does, or nobody knows.
    """

    at: str
    state: str
    reason: str | None
    planned: int | None
    recorded: int
    by_status: dict[str, int]
    errors: dict[str, int]
    in_flight: int
    per_s: float | None
    left_s: float | None
    spent_usd: str
    in_doubt_usd: str
    is_spend_complete: bool
    waiting: str | None
    waiting_s: float | None
    limits: dict[str, LimitValue]
    refuses: str | None

    @property
    def is_over(self) -> bool:
        """Whether nothing will change any more."""
        return self.state not in ("running", "paused")


class _Result(NamedTuple):
    """A result that only the journal holds."""

    status: str | None  # of a final one
    error: str | None
    cost: Decimal
    in_doubt: Decimal


class LiveReader:
    """Reads a run again and again.

    Args:
        root: the run folder.
        counts_only: read no costs and errors of parts, and do not ask the run what it waits for.
    """

    def __init__(self, root: Path, *, counts_only: bool = False) -> None:
        self._root = root
        self._counts_only = counts_only
        self._tails: dict[Path, JournalTail] = {}
        self._open: set[Key] = set()
        self._results: dict[Key, _Result] = {}
        self._manifest: Manifest | None = None
        self._manifest_stamp: tuple[int, ...] = ()
        self._matched: set[str] | None = None  # parts whose entries are no more counted here
        self._priced: set[str] = set()
        self._spent = self._in_doubt = Decimal(0)
        self._errors = Counter[str]()
        self._recorded_at: deque[tuple[float, int]] = deque()
        self._prices = RunPrices(root)

    def look(self) -> LiveFigures | None:
        """Read what is new; None where there is no run yet.

        Raises:
            EvalharnessError: the folder cannot be read.
        """
        if not self._counts_only:
            with suppress(OSError):  # of somebody else: then nobody knows what is waited for
                watch(self._root)
        # The journal first: what is sealed meanwhile is then found in both, and never in neither.
        self._read_journals()
        manifest = self._read_manifest()
        if manifest is None:
            return None
        self._match_parts(manifest)
        if not self._counts_only:
            self._price_parts(manifest)
        return self._figures(manifest)

    # ── reading ──────────────────────────────────────────────────────────────────────────────

    def _read_journals(self) -> None:
        for path in journal_paths(self._root):
            tail = self._tails.setdefault(path, JournalTail(path))
            while entries := tail.read_new():
                for entry in entries:
                    self._count(entry.value)

    def _count(self, value: Intent | AttemptResult) -> None:
        if isinstance(value, Intent):
            self._open.add((value.trial_id, value.attempt))
            return
        key = (value.intent.trial_id, value.intent.attempt)
        self._open.discard(key)
        reply = value.reply
        cost, in_doubt = _FREE if self._counts_only else self._prices.cost(value)
        self._results[key] = _Result(
            reply.status.value if value.final else None,
            _failure(reply.error_kind, reply.outcome),
            cost,
            in_doubt,
        )

    def _read_manifest(self) -> Manifest | None:
        stamp = self._stamp()
        if stamp != self._manifest_stamp or self._manifest is None:
            self._manifest = read_manifest(self._root)
            self._manifest_stamp = stamp
        return self._manifest

    def _stamp(self) -> tuple[int, ...]:
        """What changes with the manifest and its log."""
        stamp: list[int] = []
        for path in (self._root / MANIFEST, *sorted(self._root.glob("parts-*.jsonl"))):
            with suppress(OSError):
                status = path.stat()
                stamp += [status.st_ino, status.st_size, status.st_mtime_ns]
        return tuple(stamp)

    def _match_parts(self, manifest: Manifest) -> None:
        """Count what a new part holds there, and not in the journal any more."""
        paths = [part.path for part in manifest.parts if part.path.startswith("attempts/")]
        if self._matched is None:
            self._matched = set(sorted(paths)[:-_LAST_PARTS])
        for path in paths:
            if path not in self._matched:
                self._matched.add(path)
                table = read_parquet(self._root / path, ["trial_id", "attempt"])
                columns = [table[name].to_pylist() for name in ("trial_id", "attempt")]
                for key in zip(*columns, strict=True):
                    self._open.discard(key)
                    self._results.pop(key, None)

    def _price_parts(self, manifest: Manifest) -> None:
        waiting = [path for path in _attempt_parts(manifest) if path not in self._priced]
        for path in waiting[:_PARTS_OF_A_LOOK]:
            columns = dict.fromkeys([*COLUMNS, "error_kind", "outcome"])
            table = read_parquet(self._root / path, list(columns))
            spend = self._prices.spend(table)
            self._spent += spend.spent
            self._in_doubt += spend.in_doubt
            pairs = zip(*(table[c].to_pylist() for c in ("error_kind", "outcome")), strict=True)
            failures = (_failure(kind, outcome) for kind, outcome in pairs)
            self._errors.update(failure for failure in failures if failure is not None)
            self._priced.add(path)

    # ── figures ──────────────────────────────────────────────────────────────────────────────

    def _figures(self, manifest: Manifest) -> LiveFigures:
        statuses = Counter(manifest.by_status)
        errors = Counter(self._errors)
        spent, in_doubt = self._spent, self._in_doubt
        for result in self._results.values():
            if result.status is not None:
                statuses[result.status] += 1
            if result.error is not None:
                errors[result.error] += 1
            spent += result.cost
            in_doubt += result.in_doubt
        recorded = sum(statuses.values())
        state, status = self._state(manifest), self._status(manifest)
        known_in_flight = None if status is None else status.in_flight
        per_s = None if state != "running" else self._rate(recorded)
        planned = manifest.planned
        left = None if planned is None or not per_s else max(0, planned - recorded) / per_s
        return LiveFigures(
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            state=state,
            reason=manifest.reason,
            planned=planned,
            recorded=recorded,
            by_status=dict(sorted(statuses.items())),
            errors=dict(errors.most_common()),
            in_flight=len(self._open) if known_in_flight is None else known_in_flight,
            per_s=per_s,
            left_s=left,
            spent_usd=format(spent, "f"),
            in_doubt_usd=format(in_doubt, "f"),
            is_spend_complete=self._priced.issuperset(_attempt_parts(manifest)),
            waiting=None if status is None else status.waiting,
            waiting_s=None if status is None else status.waiting_s,
            limits={} if status is None else status.limits,
            refuses=None if status is None else status.refuses,
        )

    def _state(self, manifest: Manifest) -> str:
        if manifest.status != "running":
            return manifest.status
        if holder_has_ended(self._root):
            return "died"
        return "paused" if state_after(manifest.control).paused else "running"

    def _status(self, manifest: Manifest) -> RunStatus | None:
        """What the run's process says of itself, where that is of now."""
        status = read_status(self._root)
        if status is None or manifest.status != "running":
            return None
        age_s = (datetime.now(UTC) - datetime.fromisoformat(status.at)).total_seconds()
        return status if age_s < _STATUS_AGE_S else None

    def _rate(self, recorded: int) -> float | None:
        now, looks = time.monotonic(), self._recorded_at
        looks.append((now, recorded))
        while looks[0][0] < now - _RATE_WINDOW_S:
            looks.popleft()
        first_at, first = looks[0]
        return None if now - first_at < 1 else max(0, recorded - first) / (now - first_at)


def _failure(kind: str | None, outcome: str | None) -> str | None:
    """The kind of a failed attempt; None for one that a pause or a stop gave back unsent."""
    if kind is None or (kind == ErrorKind.INTERRUPTED and outcome == Outcome.NOT_SENT):
        return None
    return str(kind)


def _attempt_parts(manifest: Manifest) -> list[str]:
    return [part.path for part in manifest.parts if part.path.startswith("attempts/")]
