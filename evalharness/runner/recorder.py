"""What became of an attempt, told to all who must know: money, journal, summary, progress."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from msgspec import structs

from evalharness.errors import StorageError
from evalharness.records import AttemptResult, Intent, Outcome, Reply
from evalharness.runner.budget import Money
from evalharness.runner.progress import Progress
from evalharness.runner.queue import Job
from evalharness.runner.run_summary import Summary
from evalharness.store.folder.writer import RunStore
from evalharness.store.journal.crash_recovery import interrupted
from evalharness.throttle.retry import Decision


class Recorder:
    """The one place where an attempt ends, whichever runner made it and however it ended.

    Args:
        store: where results go.
        money: gets the reservation back.
        progress: is told.
        summary: counts.
    """

    def __init__(
        self, store: RunStore, *, money: Money, progress: Progress, summary: Summary
    ) -> None:
        self._store = store
        self._money = money
        self._progress = progress
        self._summary = summary

    def settle(
        self,
        job: Job,
        intent: Intent,
        reply: Reply,
        decision: Decision,
        *,
        scheduled_at_ns: int,
        queue_s: float,
    ) -> None:
        """Record a reply, and what was decided about the trial.

        Raises:
            StorageError: the disk refuses; the attempt stays in doubt.
        """
        summary, cost = self._summary, self._money.settle(intent, job.trial, reply)
        result = AttemptResult(
            intent=intent,
            reply=reply,
            final=decision.final,
            scheduled_at_ns=scheduled_at_ns,
            queue_s=queue_s,
            body=job.body if decision.final else None,
            in_doubt_before=job.in_doubt,
            wait_s=decision.wait_s,
        )
        job.sent = summary.count_attempt(reply.outcome, job.sent)
        try:
            self._store.put(result)
        except StorageError:
            summary.unsaved += 1
            raise
        summary.count_usage(reply)
        self._progress.attempted(reply, cost)
        if reply.outcome is Outcome.IN_DOUBT:
            job.doubted()
            summary.in_doubt.append(intent)
        if decision.final:
            summary.count(reply)
            self._progress.finished(reply)
        elif not decision.stops:
            job.failed(reply, decision.reason)

    def cut_off(self, job: Job, intent: Intent) -> None:
        """A request was on the wire when the process stopped waiting: the attempt is in doubt."""
        doubt = interrupted(intent)
        self._money.settle(intent, job.trial, doubt.reply)
        job.sent = self._summary.count_attempt(doubt.reply.outcome, job.sent)
        self._summary.in_doubt.append(intent)
        self._abandoned(doubt)

    def unsent(self, intent: Intent, scheduled_at_ns: int | None = None) -> None:
        """A stop came between deciding to send and sending: the journal must know of it.

        Args:
            intent: what was to be sent.
            scheduled_at_ns: when it was due; None is the moment it was admitted.
        """
        self._money.cancel(intent.client_request_id.removeprefix("evh-"))
        result = interrupted(intent, sent=False)
        if scheduled_at_ns is not None:
            result = structs.replace(result, scheduled_at_ns=scheduled_at_ns)
        self._abandoned(result)

    def uncommitted(self, intent: Intent, error: BaseException) -> None:
        """An intent was not seen to become durable: nothing is sent, and nothing is spent.

        Where only the waiting was cancelled it may be on disk, which the journal must know of.
        """
        if isinstance(error, asyncio.CancelledError):
            self.unsent(intent)
        else:
            self._money.cancel(intent.client_request_id.removeprefix("evh-"))

    def _abandoned(self, result: AttemptResult) -> None:
        """Record an attempt nobody waits for; where that fails, its intent alone tells of it."""
        with suppress(StorageError):
            self._store.put(result)
