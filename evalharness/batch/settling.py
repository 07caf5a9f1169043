"""From the results of a batch to records: each line a reply, each request one result.

A kill in the middle loses nothing: what is recorded is in the journal, and the same results are
read again for the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from msgspec import structs

from evalharness.batch.client import NoAnswerYetError
from evalharness.batch.open_batch import OpenBatch
from evalharness.batch.request_file import drop_files, result_files
from evalharness.batch.result_lines import ResultLines
from evalharness.batch.sending import note_facts
from evalharness.batch.trials import TrialFinder
from evalharness.batch.wire import BatchFacts, ResultLine
from evalharness.errors import StorageError
from evalharness.http.exchange import Exchange
from evalharness.process.text import plural
from evalharness.records import AttemptResult, ErrorKind, Intent, Outcome, Reply, Status
from evalharness.runner.context import RunContext
from evalharness.runner.queue import Job, attempt_key
from evalharness.runner.recorder import AttemptRecorder, BatchStamp
from evalharness.store.folder.durable_files import ops, sync_folder
from evalharness.store.journal.batch_files import BatchStage
from evalharness.throttle.retry_policy import Action, Decision

_FLUSH_EVERY = 500  # results, which are in memory until the journal has them
_UNSERVED_WORDS = {
    ErrorKind.EXPIRED: "the batch ended before this request was served",
    ErrorKind.CANCELLED: "the batch was cancelled before this request was served",
}
_UNSERVED_OUTCOMES = {
    # The provider had it and did not serve it; a cancelled one was taken back.
    ErrorKind.EXPIRED: Outcome.REJECTED,
    ErrorKind.CANCELLED: Outcome.NOT_SENT,
}


class Settled(NamedTuple):
    """What a batch leaves to do: jobs to ask again, and the decision to stop, if there is one."""

    again: list[Job]
    stop: Decision | None


class BatchSettler:
    """Records what became of the requests of a batch; the one place that does.

    Args:
        context: of the run.
        trials: finds them by their intents.
        cancelled: the run's batches were cancelled by its user: nothing is asked again.
    """

    def __init__(self, context: RunContext, trials: TrialFinder, *, cancelled: bool) -> None:
        self._context, self._trials = context, trials
        self._recorder = AttemptRecorder(context)
        self._cancelled = cancelled
        self._root = context.store.folder.root
        self._max_attempts = context.plan.config.limits.max_attempts

    async def settle(self, batch: OpenBatch, facts: BatchFacts) -> Settled:
        """Fetch the results of a batch that has ended, and record them.

        Raises:
            CallFailedError: the results are not there any more.
            NoAnswerYetError: they cannot be fetched now, or what came cannot be all of them.
            StorageError: the disk refused; what is recorded stays so.
        """
        state = batch.state
        note_facts(state, facts)
        state.finished_at_ns = facts.finished_at_ns
        await self._fetch(batch, facts)
        lines = ResultLines(batch, self._root, has_failed=facts.problem is not None)
        if not self._cancelled and not lines.may_be_all(facts.done or 0):
            lines.close()
            for path in result_files(state, self._root):
                path.unlink()
            raise NoAnswerYetError(
                f"the provider counts {plural(facts.done or 0, 'answer')}, and its results do not "
                "hold so many"
            )
        again: list[Job] = []
        stop: Decision | None = None
        done = 0
        try:
            for custom_id, result in lines.read():
                settled = self._record(batch, custom_id, _reply_of(batch, result, lines), lines)
                again += settled.again
                stop = stop or settled.stop
                done += 1
                if done % _FLUSH_EVERY == 0:
                    await self._context.store.journal.flush()
            for custom_id in list(batch.intents):
                settled = self._record(batch, custom_id, _missing(batch, facts), lines)
                again += settled.again
                stop = stop or settled.stop
        finally:
            lines.close()
        state.duplicate_lines, state.other_lines = lines.duplicates, lines.others
        await self.finish(batch)
        self._tell(batch, lines)
        return Settled(again, stop)

    async def withdraw(self, batch: OpenBatch, *, sent: bool) -> None:
        """Record that the requests of a batch were never sent, or that nobody knows (``sent``)."""
        for intent in list(batch.intents.values()):
            if sent:
                job = self._job(batch, intent, b"")
                self._recorder.record_cut_off(job, intent)
            else:
                self._recorder.record_unsent(intent)
            self._trials.note_attempt(intent, sent=sent)
        batch.intents.clear()
        await self.finish(batch)

    async def finish(self, batch: OpenBatch) -> None:
        """Make the end of a batch durable, once everything of it is recorded."""
        await self._context.store.journal.flush()
        batch.state.phase = BatchStage.SETTLED
        batch.state.save(self._root)
        drop_files(batch.state, self._root)

    async def _fetch(self, batch: OpenBatch, facts: BatchFacts) -> None:
        """Fetch every file of results that is not here yet."""
        for number, path in enumerate(facts.result_paths, 1):
            target = batch.state.path(self._root, f"-results-{number}.jsonl")
            if target.exists():
                continue
            temporary = target.with_name(f".{target.name}.tmp")
            try:
                await batch.client.fetch(path, temporary)
                ops.replace(temporary, target)
                sync_folder(target.parent)
            except OSError as error:
                raise StorageError(f"cannot write {target.name}: {error.strerror}") from error
            finally:
                temporary.unlink(missing_ok=True)

    def _record(
        self, batch: OpenBatch, custom_id: str, make_reply: Callable[[], Reply], lines: ResultLines
    ) -> Settled:
        """Record one result, with the decision about its trial."""
        intent, reply = batch.intents[custom_id], make_reply()
        job = self._job(batch, intent, lines.body(custom_id))
        state = batch.state
        stamp = BatchStamp(state.batch_id, state.submitted_at_ns, state.finished_at_ns)
        queue_s = max(0, (reply.sent_at_ns or 0) - intent.admitted_at_ns) / 1e9
        if not self._trials.is_planned(intent):
            self._record_orphan(job, intent, reply, stamp, queue_s)
            del batch.intents[custom_id]
            return Settled([], None)
        decision = self._decide(batch, job, reply, lines)
        self._recorder.settle(
            job, intent, reply, decision,
            scheduled_at_ns=intent.admitted_at_ns, queue_s=queue_s, batch=stamp,
        )  # fmt: skip
        del batch.intents[custom_id]
        if decision.final:
            return Settled([], decision if decision.stops else None)
        self._trials.note_attempt(
            intent,
            sent=reply.outcome is not Outcome.NOT_SENT,
            in_doubt=reply.outcome is Outcome.IN_DOUBT,
        )
        if decision.stops or self._cancelled:
            return Settled([], decision if decision.stops else None)
        job.body = b""  # the plan makes it again
        return Settled([job], None)

    def _decide(self, batch: OpenBatch, job: Job, reply: Reply, lines: ResultLines) -> Decision:
        if lines.has_failed:  # nothing of it was read: no fault of this request
            return Decision(action=Action.RETRY, reason=reply.error_message or "", wait_s=0.0)
        if reply.error_kind in _UNSERVED_WORDS and reply.outcome is not Outcome.DELIVERED:
            reason = reply.error_message or ""
            if self._cancelled or job.session_attempts < self._max_attempts:
                return Decision(action=Action.RETRY, reason=reason, wait_s=0.0)
            return Decision(action=Action.FINAL, reason=reason, final=True)
        policy = batch.client.policy
        policy.ever_reached = True
        return policy.decide(
            reply,
            job.session_attempts,
            job.session_in_doubt,
            same_error_count=job.failure_count(reply),
        )

    def _record_orphan(
        self, job: Job, intent: Intent, reply: Reply, stamp: BatchStamp, queue_s: float
    ) -> None:
        """Keep an answer whose trial is not in the plan any more; it is not asked again."""
        context = self._context
        key = attempt_key(intent.trial_id, intent.attempt)
        context.budget.settle(key, job.trial, reply, in_batch=True)
        final = reply.outcome is Outcome.DELIVERED
        context.store.put(
            AttemptResult(
                intent=intent, reply=reply, final=final, scheduled_at_ns=intent.admitted_at_ns,
                queue_s=queue_s, body=job.body if final else None, **stamp._asdict(),
            )
        )  # fmt: skip
        context.summary.count_attempt(reply.outcome, 0)
        context.summary.count_usage(reply)

    def _job(self, batch: OpenBatch, intent: Intent, body: bytes) -> Job:
        """The job of an intent: as it was in this session, else as far as the journal knows it."""
        job = batch.jobs.pop(intent.client_request_id, None)
        if job is None:
            job = self._trials.job(intent)
        job.body = body
        return job

    def _tell(self, batch: OpenBatch, lines: ResultLines) -> None:
        state, say = batch.state, self._context.progress.print_line
        text = f"batch {state.name}: {state.status}"
        if state.done is not None:
            text += f", {state.done} of {state.requests} requests answered"
        say(text)
        if lines.duplicates:
            say(
                f"batch {state.name}: {plural(lines.duplicates, 'line')} of its results repeat "
                "others; the first of each counts"
            )
        if lines.others:
            path = state.path(self._root, "-other.jsonl")
            say(
                f"batch {state.name}: {plural(lines.others, 'line')} of its results answer none of "
                f"its requests, or cannot be read; kept in {path}"
            )


def _reply_of(batch: OpenBatch, result: ResultLine, lines: ResultLines) -> Callable[[], Reply]:
    """The reply that a line of results is."""
    sent_at_ns = batch.state.submitted_at_ns or 0
    if result.unserved is not None:
        kind, words = result.unserved, result.message or _UNSERVED_WORDS[result.unserved]
        return lambda: _unserved(kind, words, result.code, sent_at_ns)

    def read() -> Reply:
        exchange = Exchange(
            sent_at_ns=sent_at_ns,
            status=result.status,
            headers={"content-type": "application/json"},
            chunks=[result.body],
        )
        reply = batch.client.chat.read(exchange, lines.body(result.custom_id))
        # Nobody knows when it was served.
        return structs.replace(reply, latency_s=None, headers_s=None)

    return read


def _unserved(kind: ErrorKind, words: str, code: str | None, sent_at_ns: int | None) -> Reply:
    return Reply(
        outcome=_UNSERVED_OUTCOMES[kind],
        status=Status.ERROR,
        error_kind=kind,
        error_message=words,
        error_code=code,
        sent_at_ns=sent_at_ns,
    )


def _missing(batch: OpenBatch, facts: BatchFacts) -> Callable[[], Reply]:
    """What is known of a request without a line."""
    sent_at_ns = batch.state.submitted_at_ns
    if facts.missing is not None:
        kind = facts.missing
        return lambda: _unserved(kind, _UNSERVED_WORDS[kind], None, sent_at_ns)
    if facts.problem is not None:
        words, outcome = f"the batch failed: {facts.problem}", Outcome.REJECTED
        kind = ErrorKind.BAD_REQUEST
    else:
        words, outcome = "the batch has ended without a line for this request", Outcome.IN_DOUBT
        kind = ErrorKind.BAD_RESPONSE
    return lambda: Reply(
        outcome=outcome,
        status=Status.ERROR,
        error_kind=kind,
        error_message=words,
        error_code=facts.problem_code,
        sent_at_ns=sent_at_ns,
    )
