"""Looking at the batches that are under way, and what follows from what is seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from evalharness.batch.cancelling import BatchCanceller
from evalharness.batch.client import (
    CallFailedError,
    CallStopped,
    NoAnswerYetError,
    gone_error,
)
from evalharness.batch.open_batch import BatchWork, OpenBatch
from evalharness.batch.sending import BatchSender, note_facts
from evalharness.batch.settling import BatchSettler
from evalharness.batch.trials import TrialFinder
from evalharness.batch.wire import BatchFacts
from evalharness.errors import ConfigError, EvalharnessError, ProviderError, StorageError
from evalharness.runner.context import RunContext
from evalharness.runner.queue import Job
from evalharness.runner.run_summary import StopReason

# Codes of a batch that was refused because too many prompt tokens of the model wait already.
_NO_ROOM = ("token_limit_exceeded", "enqueued_token_limit_exceeded")


class BatchPoller:
    """Looks at batches; the one place that says what becomes of each.

    Args:
        context: of the run.
        trials, settler, sender, work: of the run.
        stop: starts nothing new in the run.
        canceller: the batches are to be cancelled; None: they are waited for.
        key_variables: names of the environment variables with keys, by provider, for messages.
    """

    def __init__(
        self,
        context: RunContext,
        trials: TrialFinder,
        settler: BatchSettler,
        sender: BatchSender,
        work: BatchWork,
        stop: Callable[[StopReason], None],
        *,
        canceller: BatchCanceller | None,
        key_variables: Mapping[str, str | None],
    ) -> None:
        self._trials, self._settler, self._sender = trials, settler, sender
        self._work, self._stop, self._canceller = work, stop, canceller
        self._key_variables = key_variables
        self._asks_live = context.plan.config.execution.on_expired == "live"
        self._say = context.progress.print_line

    async def look(self, is_stopping: Callable[[], bool]) -> bool:
        """Look at every batch once; whether one has ended.

        A provider that does not answer now is looked at later. A batch that cannot be seen at all
        does not keep the others from being fetched.

        Raises:
            EvalharnessError: all that are left cannot be seen; why the first cannot.
        """
        before = len(self._work.open)
        for batch in self._work.visible:
            if is_stopping():
                break
            try:
                await self._look_at(batch)
            except NoAnswerYetError as error:
                self._say(f"batch {batch.state.name}: {error.message}; it is looked at later")
        if self._work.open and not self._work.visible:
            raise next(iter(self._work.stuck.values()))
        return len(self._work.open) < before

    async def send(self, batch: OpenBatch) -> None:
        """Send a batch; where that fails for now, it is tried again at the next look."""
        try:
            await self._sender.send(batch)
        except NoAnswerYetError as error:
            self._say(f"batch {batch.state.name} is not sent yet: {error.message}")
        except CallStopped:
            raise
        except StorageError:
            raise
        except EvalharnessError as error:  # refused: nothing of it was made
            await self._withdraw(batch, sent=False)
            if isinstance(error, CallFailedError):
                raise ConfigError(
                    f"the provider refuses the batch, and nothing of it was sent: {error.message}"
                ) from None
            raise

    # ── one batch ────────────────────────────────────────────────────────────────────────────

    async def _look_at(self, batch: OpenBatch) -> None:
        if not batch.may_be_sent:
            if self._canceller is None:
                await self.send(batch)
            else:
                await self._take_back(batch)
            return
        refusal = await self._cancel(batch)
        try:
            if batch.state.batch_id is None:
                await self._find(batch)
                return
            facts = await batch.client.look(batch.state.batch_id)
            note_facts(batch.state, facts)
            if facts.is_ended:
                await self._settle(batch, facts)
                return
        except CallFailedError as error:
            await self._give_up(batch, error)
            return
        if refusal is not None:
            self._set_stuck(batch, _uncancellable(batch, refusal))

    async def _cancel(self, batch: OpenBatch) -> CallFailedError | None:
        """Ask for it to be cancelled where that is wanted; why the provider refuses."""
        if self._canceller is None:
            return None
        try:
            return await self._canceller.ask(batch)
        except NoAnswerYetError as error:
            self._say(f"batch {batch.state.name}: {error.message}; it is cancelled later")
            return None

    async def _find(self, batch: OpenBatch) -> None:
        """Look for a batch whose creation was not answered; it is sent again if there is none."""
        others = [other for other in self._work.open if other is not batch]
        if not await self._sender.find(batch, others):
            await self._cancel(batch)
            return
        batch.state.create_at_ns = None
        if self._canceller is not None or not self._trials.are_planned(batch.intents.values()):
            await self._take_back(batch)
        else:
            await self.send(batch)

    async def _settle(self, batch: OpenBatch, facts: BatchFacts) -> None:
        settled = await self._settler.settle(batch, facts)
        self._work.open.remove(batch)
        self._ask_again(batch, settled.again, facts.problem_code)
        if settled.stop is not None and settled.stop.stops:
            self._stop(StopReason.from_error(settled.stop.error()))
        elif facts.problem is not None and self._canceller is None:
            self._stop_for(batch, facts.problem, facts.problem_code)

    async def _give_up(self, batch: OpenBatch, error: CallFailedError) -> None:
        """A batch that the provider does not show: left alone, or with ``--cancel`` in doubt."""
        if self._canceller is None:
            variable = self._key_variables.get(batch.state.provider)
            self._set_stuck(batch, gone_error(error, batch.state, variable))
            return
        self._say(f"batch {batch.state.name}: {error.message}; its requests are in doubt")
        self._canceller.count_unseen(batch)
        await self._withdraw(batch, sent=True)

    def _set_stuck(self, batch: OpenBatch, error: EvalharnessError) -> None:
        self._work.stuck[batch.state.name] = error
        if self._work.visible:
            self._say(f"{error.message}; the other batches are waited for, and nothing new is sent")

    async def _withdraw(self, batch: OpenBatch, *, sent: bool) -> None:
        await self._settler.withdraw(batch, sent=sent)
        self._work.open.remove(batch)

    async def _take_back(self, batch: OpenBatch) -> None:
        """Give up a batch that was not made; what of it is still planned goes into another."""
        intents, queue = list(batch.intents.values()), self._work.queues.get(batch.key)
        await self._withdraw(batch, sent=False)
        if self._canceller is not None:
            self._canceller.count(batch)
        for intent in intents:
            if queue is not None and self._trials.is_planned(intent):
                queue.add(self._trials.fresh_job(self._trials.trial(intent)))

    # ── afterwards ───────────────────────────────────────────────────────────────────────────

    def _ask_again(self, batch: OpenBatch, jobs: list[Job], code: str | None) -> None:
        queue = self._work.queues.get(batch.key)
        if self._asks_live and code not in _NO_ROOM:
            self._work.live += jobs
        elif queue is not None:
            for job in jobs:
                queue.add(job)

    def _stop_for(self, batch: OpenBatch, problem: str, code: str | None) -> None:
        """Stop because a batch failed as a whole, unless there will be room for it later."""
        queue = self._work.queues.get(batch.key)
        if code in _NO_ROOM and queue is not None:
            if any(other.key == batch.key for other in self._work.open):
                queue.one_at_a_time = True
                return
            tokens = max(1, batch.state.tokens // 2)
            hint = f"provider.profile.batch.max_enqueued_tokens={tokens}, for instance"
        else:
            hint = "nothing of it was served; put it right, and the same command goes on"
        name = batch.state.name
        self._stop(StopReason.from_error(ConfigError(f"batch {name} failed: {problem}", hint=hint)))


def _uncancellable(batch: OpenBatch, error: CallFailedError) -> ProviderError:
    state = batch.state
    return ProviderError(
        f"batch {state.batch_id} goes on: {state.provider} does not cancel it ({error.message})",
        hint="without --cancel the same command fetches its answers",
    )
