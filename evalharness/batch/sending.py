"""From jobs to a batch at the provider; and how one is found again whose creation was not answered.

What is durable when: the file of requests and the state (``prepared``), then the intents, then the
state ``sending`` before the first call, then the moment of the creation before the creation, then
the batch's name. So after a kill at any moment the state says what may have been bought.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Collection
from decimal import Decimal
from typing import NamedTuple

from msgspec import structs

from evalharness.batch.checks import token_guess
from evalharness.batch.client import (
    BatchClient,
    CallFailedError,
    CreationInDoubtError,
)
from evalharness.batch.open_batch import OpenBatch, WorkQueue
from evalharness.batch.request_file import RequestFile, RequestIndex
from evalharness.batch.wire import BatchFacts
from evalharness.errors import BudgetReachedError, EvalharnessError, StorageError
from evalharness.process import session_clock
from evalharness.process.text import plural
from evalharness.records import Intent
from evalharness.runner.context import RunContext
from evalharness.runner.queue import Job
from evalharness.store.journal.batch_files import BatchStage, BatchState, open_folder, read_states

_YIELD_EVERY = 256  # requests written between two turns of the event loop


class _Chosen(NamedTuple):
    """A job whose worst case is reserved, and its name in the batch."""

    job: Job
    custom_id: str
    worst: Decimal | None


class BatchSender:
    """Makes files of requests and sends them; the one place of a batch run that does.

    Args:
        context: of the run.
        stopping: set once nothing new is to be sent.

    Attributes:
        budget_error: why no further request can be paid for; None while one can.
    """

    def __init__(self, context: RunContext, stopping: asyncio.Event) -> None:
        self.budget_error: BudgetReachedError | None = None
        self._context, self._stopping = context, stopping
        self._undecided: set[str] = set()  # batches of which that was said
        self._root = context.store.folder.root
        self._lookup_ns = int(context.plan.config.execution.lookup_s * 1e9)
        open_folder(self._root)
        self._number = max((s.number for s in read_states(self._root)), default=0)

    # ── preparing ────────────────────────────────────────────────────────────────────────────

    async def prepare(
        self, queue: WorkQueue, client: BatchClient, others: Collection[OpenBatch]
    ) -> OpenBatch | None:
        """Write the next file of a queue; None when there is nothing to send now.

        ``others`` are under way. While there are some, a file that the budget or the provider's
        limit of waiting tokens would cut short waits for them.

        Raises:
            ConfigError: there is a cost limit, and nothing bounds what a request may cost.
            StorageError: the disk refused; nothing of the file is sent.
        """
        if self.budget_error is not None:
            return None
        same = [batch for batch in others if batch.key == queue.key]
        if queue.one_at_a_time and same:
            return None
        state = BatchState(
            number=self._number + 1, provider=queue.key.provider, endpoint="",
            model=queue.key.model, token=secrets.token_hex(16), sha256="", bytes=0, requests=0,
            tokens=0,
        )  # fmt: skip
        file = RequestFile(state.path(self._root, ".jsonl"))
        chosen: list[_Chosen] = []
        try:
            waits = await self._choose(queue, client, state, file, chosen, same, others)
            if waits or not chosen:
                raise _NothingToSend
            file.close()
        except BaseException as error:
            file.discard()
            for item in chosen:
                self._context.budget.cancel(item.job.next_attempt_key)
            queue.put_back([item.job for item in chosen])
            if isinstance(error, _NothingToSend):
                return None
            raise
        self._number += 1
        state.endpoint = chosen[0].job.trial.setting.endpoint
        state.sha256, state.bytes = file.sha256, file.bytes
        state.requests, state.tokens = file.requests, file.tokens
        state.save(self._root)
        return await self._begin(state, client, chosen)

    async def _choose(
        self,
        queue: WorkQueue,
        client: BatchClient,
        state: BatchState,
        file: RequestFile,
        chosen: list[_Chosen],
        same: Collection[OpenBatch],
        others: Collection[OpenBatch],
    ) -> bool:
        """Write requests until a limit is reached; whether the file is to wait for others."""
        rules, plan, budget = client.rules, self._context.plan, self._context.budget
        room = rules.max_enqueued_tokens
        if room is not None:
            room -= sum(batch.state.tokens for batch in same)
        while file.requests < rules.max_requests:
            if self._stopping.is_set():
                return True
            job = queue.take()
            if job is None:
                return False
            body = plan.body(job.trial)
            custom_id = client.form.custom_id(job.trial.trial_id, job.attempt + 1, state.token)
            line, tokens = client.line(custom_id, body), token_guess(len(body))
            if file.requests and file.bytes + len(line) > rules.max_bytes:
                queue.put_back([job])
                return False
            if room is not None and file.tokens + tokens > room:
                queue.put_back([job])
                return bool(same)
            try:
                worst = budget.worst_case(job.trial, body, in_batch=True)
                model = job.trial.setting.model
                has_room = budget.reserve(job.next_attempt_key, worst, model=model)
            except BudgetReachedError as error:
                queue.put_back([job])
                self.budget_error = error
                return False
            except EvalharnessError:
                queue.put_back([job])
                raise
            if not has_room:
                queue.put_back([job])
                return bool(others)
            chosen.append(_Chosen(job, custom_id, worst))
            file.add(line, tokens)
            if file.requests % _YIELD_EVERY == 0:
                await asyncio.sleep(0)
        return False

    async def _begin(
        self, state: BatchState, client: BatchClient, chosen: list[_Chosen]
    ) -> OpenBatch:
        """Make the intents durable."""
        batch = OpenBatch(state, client, {})
        now_ns, store = session_clock.now_ns(), self._context.store
        for job, custom_id, worst in chosen:
            intent: Intent = job.begin_attempt(
                job.next_attempt_key,
                now_ns,
                in_flight=state.requests,
                reserved=worst,
            )
            intent = structs.replace(intent, client_request_id=custom_id, batch_file=state.name)
            store.put(intent)
            batch.intents[custom_id] = intent
            if job.attempt > 1:
                batch.jobs[custom_id] = job
        await store.journal.flush()
        return batch

    # ── sending ──────────────────────────────────────────────────────────────────────────────

    async def send(self, batch: OpenBatch) -> None:
        """Upload the file and make the batch, as far as that was not done.

        Raises:
            CallFailedError: the provider refuses it; certainly nothing was made.
            NoAnswerYetError: certainly nothing was made, for a reason that may pass.
            EvalharnessError: the same, for a reason that stops the run.
        """
        state, file = batch.state, batch.state.path(self._root, ".jsonl")
        state.phase = BatchStage.SENDING
        if state.file_id is None:  # nothing of it is at the provider
            state.key_salt = secrets.token_hex(16)
            state.key_fingerprint = batch.client.chat.key_fingerprint(state.key_salt)
        state.save(self._root)
        if state.file_id is None:
            state.file_id = await batch.client.upload(state, file)
            state.save(self._root)
        if self._stopping.is_set():
            return
        state.create_at_ns, state.in_doubt_since_ns = session_clock.now_ns(), None
        state.save(self._root)
        try:
            facts = await batch.client.create(state, file)
        except CreationInDoubtError as error:
            state.in_doubt_since_ns = session_clock.now_ns()
            state.save(self._root)
            self._say(f"batch {state.name}: {error.message}; it may exist, and is looked for")
            return
        except Exception:
            state.create_at_ns = None
            state.save(self._root)
            raise
        self._adopt(batch, facts, session_clock.now_ns())
        self._say(
            f"batch {state.name}: {plural(state.requests, 'request')} sent to {state.provider} as "
            f"{state.batch_id}"
        )

    def _adopt(self, batch: OpenBatch, facts: BatchFacts, at_ns: int | None) -> None:
        state = batch.state
        state.batch_id, state.submitted_at_ns = facts.batch_id, at_ns
        state.phase = BatchStage.WAITING
        note_facts(state, facts)
        state.save(self._root)

    # ── finding ──────────────────────────────────────────────────────────────────────────────

    async def find(self, batch: OpenBatch, others: Collection[OpenBatch]) -> bool:
        """Look for a batch whose creation was not answered; whether it is certain not to exist.

        The ``openai`` form keeps a token with the batch, and the name of the uploaded file. With
        ``anthropic``, batches of the right size and time are candidates: only its results tell
        which one it is, so nothing is sent again as long as one of them goes on.
        """
        state, client = batch.state, batch.client
        assert state.create_at_ns is not None
        known = {other.state.batch_id for other in others} | set(state.not_ours)
        if state.in_doubt_since_ns is None:  # the command was killed while it asked
            state.in_doubt_since_ns = session_clock.now_ns()
            state.save(self._root)
        undecided = False
        for facts in await client.created_since(state.create_at_ns):
            if facts.batch_id in known:
                continue
            verdict = self._is_ours(state, facts, client)
            if verdict is None and facts.is_ended:
                verdict = await self._results_are_ours(batch, facts)
                if verdict is False:
                    state.not_ours.append(facts.batch_id)
                    state.save(self._root)
            if verdict:
                self._adopt(batch, facts, facts.created_at_ns or state.create_at_ns)
                self._say(f"batch {state.name}: found at {state.provider} as {facts.batch_id}")
                return False
            undecided = undecided or verdict is None
        return not undecided and self._is_overdue(state.in_doubt_since_ns)

    def _is_overdue(self, since_ns: int) -> bool:
        return session_clock.now_ns() - since_ns >= self._lookup_ns

    def _is_ours(self, state: BatchState, facts: BatchFacts, client: BatchClient) -> bool | None:
        """Whether a batch is this one; None where only its results can tell."""
        if client.form.name == "openai":
            return facts.token == state.token or (
                state.file_id is not None and facts.file_id == state.file_id
            )
        return None if facts.total in (None, state.requests) else False

    async def _results_are_ours(self, batch: OpenBatch, facts: BatchFacts) -> bool | None:
        """Whether the results of an ended batch are those of this one's requests.

        None where they are not to be had: then nobody knows.

        Raises:
            StorageError: the disk refused.
        """
        if not facts.result_paths:
            self._say_undecided(batch.state, facts, "archived, without results")
            return None
        state, target = batch.state, batch.state.path(self._root, "-candidate.jsonl")
        index = RequestIndex(state.path(self._root, ".jsonl"))
        try:
            for path in facts.result_paths:
                try:
                    await batch.client.fetch(path, target)
                except CallFailedError as error:
                    self._say_undecided(state, facts, error.message)
                    return None
                with target.open("rb") as lines:
                    for line in lines:
                        read = batch.client.form.read_line(line)
                        if read is not None and read.custom_id in index:
                            return True
            return False
        except OSError as error:
            raise StorageError(f"cannot keep {target.name}: {error.strerror or error}") from error
        finally:
            index.close()
            with contextlib.suppress(OSError):
                target.unlink(missing_ok=True)

    def _say_undecided(self, state: BatchState, facts: BatchFacts, reason: str) -> None:
        """Say once that nobody can tell whose a batch is."""
        if facts.batch_id in self._undecided:
            return
        self._undecided.add(facts.batch_id)
        path = state.path(self._root, ".json")
        self._say(
            f"batch {state.name}: {facts.batch_id} may be this batch, and its results cannot be "
            f"read ({reason}), so nothing is sent again; to give its requests up as in doubt: "
            f"mv {path} {path}.damaged"
        )

    def _say(self, text: str) -> None:
        self._context.progress.print_line(text)


class _NothingToSend(Exception):  # noqa: N818 - nothing went wrong
    """A file that was begun is not sent now."""


def note_facts(state: BatchState, facts: BatchFacts) -> None:
    """Take over what the provider says of a batch."""
    state.status = facts.status
    state.done = state.done if facts.done is None else facts.done
    state.failed = state.failed if facts.failed is None else facts.failed
