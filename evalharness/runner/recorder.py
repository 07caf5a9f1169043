"""Records the outcome of an attempt in budget, journal, summary and progress."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, NamedTuple

from msgspec import structs

from evalharness.errors import StorageError
from evalharness.parameters import column_values, merge_params
from evalharness.records import (
    AttemptResult,
    ErrorKind,
    Intent,
    Outcome,
    Reply,
    Status,
    Trial,
)
from evalharness.runner.context import RunContext
from evalharness.runner.queue import Job, attempt_key, client_request_id
from evalharness.store.journal.crash_recovery import interrupted_attempt
from evalharness.throttle.retry_policy import Decision


class BatchStamp(NamedTuple):
    """The batch of an attempt, as in :class:`~evalharness.records.AttemptResult`."""

    batch_id: str | None
    batch_submitted_at_ns: int | None
    batch_finished_at_ns: int | None


class AttemptRecorder:
    """The one place where an attempt ends, whichever runner sent it and however it ended.

    Args:
        context: its store takes the result, its budget holds the reservation, progress and
            summary count it.
    """

    def __init__(self, context: RunContext) -> None:
        self._store = context.store
        self._budget = context.budget
        self._progress = context.progress
        self._summary = context.summary

    def settle(
        self,
        job: Job,
        intent: Intent,
        reply: Reply,
        decision: Decision,
        *,
        scheduled_at_ns: int,
        queue_s: float,
        batch: BatchStamp | None = None,
    ) -> None:
        """Record a reply, and the decision about the trial; ``batch`` is the one it was in.

        Raises:
            StorageError: the disk refuses; the attempt stays in doubt.
        """
        summary = self._summary
        key = attempt_key(intent.trial_id, intent.attempt)
        cost = self._budget.settle(key, job.trial, reply, in_batch=batch is not None)
        result = AttemptResult(
            intent=intent,
            reply=reply,
            final=decision.final,
            scheduled_at_ns=scheduled_at_ns,
            queue_s=queue_s,
            body=job.body if decision.final else None,
            in_doubt_before=job.in_doubt,
            backoff_s=decision.wait_s,
            params_of_setting=not job.trial.prompt.params,
            **({} if batch is None else batch._asdict()),
            merged_params=_merged_params(job.trial) if decision.final else None,
        )
        job.sent = summary.count_attempt(reply.outcome, job.sent)
        try:
            self._store.put(result)
        except StorageError:
            summary.unsaved += 1
            raise
        summary.count_usage(reply)
        self._progress.count_attempt(reply, cost)
        if reply.outcome is Outcome.IN_DOUBT:
            job.count_in_doubt()
            summary.in_doubt.append(intent)
        if decision.final:
            summary.count(reply)
            self._progress.count_trial(reply)
        elif not decision.stops:
            job.count_failure(reply, decision.reason)

    def record_cut_off(self, job: Job, intent: Intent) -> None:
        """The process stopped waiting for a request that was sent: the attempt is in doubt."""
        result = interrupted_attempt(intent)
        self._budget.settle(attempt_key(intent.trial_id, intent.attempt), job.trial, result.reply)
        job.sent = self._summary.count_attempt(result.reply.outcome, job.sent)
        self._summary.in_doubt.append(intent)
        self._record_abandoned(result)

    def record_unsent(self, intent: Intent, scheduled_at_ns: int | None = None) -> None:
        """Record in the journal that an attempt was not sent: a stop came first.

        Args:
            intent: what was to be sent.
            scheduled_at_ns: when it was due; None is the moment it was admitted.
        """
        self._budget.cancel(attempt_key(intent.trial_id, intent.attempt))
        result = interrupted_attempt(intent, sent=False)
        if scheduled_at_ns is not None:
            result = structs.replace(result, scheduled_at_ns=scheduled_at_ns)
        self._record_abandoned(result)

    def record_unasked(self, trial: Trial, reason: str, at_ns: int) -> None:
        """Record a trial as an error that nothing was sent for.

        Args:
            trial: a turn of a conversation whose earlier turn has no answer.
            reason: a sentence for people.
            at_ns: wall clock.

        Raises:
            StorageError: the disk refuses; a resume records it.
        """
        earlier = self._store.recovery.unfinished.get(trial.trial_id)
        # A number of its own, so that attempts of earlier sessions stay; 0 where there is none.
        number = 0 if earlier is None else earlier.attempts + 1
        key = attempt_key(trial.trial_id, number)
        intent = Intent(
            trial_id=trial.trial_id,
            prompt_id=trial.prompt.prompt_id,
            setting_id=trial.setting.setting_id,
            repeat=trial.repeat,
            position=trial.position,
            attempt=number,
            client_request_id=client_request_id(key),
            admitted_at_ns=at_ns,
            in_flight=0,
        )
        reply = Reply(
            outcome=Outcome.NOT_SENT,
            status=Status.ERROR,
            error_kind=ErrorKind.EARLIER_TURN,
            error_message=reason,
        )
        self._store.put(
            AttemptResult(
                intent=intent,
                reply=reply,
                final=True,
                scheduled_at_ns=at_ns,
                queue_s=0.0,
                params_of_setting=not trial.prompt.params,
                merged_params=_merged_params(trial),
            )
        )
        self._summary.count(reply)
        self._progress.count_trial(reply)

    def record_uncommitted(self, intent: Intent, error: BaseException) -> None:
        """An intent did not become durable, as far as is known: nothing is sent or spent.

        Where only the waiting was cancelled, it may be on disk: then it is recorded as not sent.
        """
        if isinstance(error, asyncio.CancelledError):
            self.record_unsent(intent)
        else:
            self._budget.cancel(attempt_key(intent.trial_id, intent.attempt))

    def _record_abandoned(self, result: AttemptResult) -> None:
        """Record an attempt nobody waits for; where that fails, the journal has its intent."""
        with suppress(StorageError):
            self._store.put(result)


def _merged_params(trial: Trial) -> dict[str, Any] | None:
    own = trial.prompt.params
    return column_values(merge_params(trial.setting.params, own)) if own else None
