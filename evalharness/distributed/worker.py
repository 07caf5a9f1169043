"""One worker: the runner of a single process, over shards it pulls."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from evalharness.chat_api.client import ChatClient
from evalharness.distributed.backlog import PulledBacklog, PullShards
from evalharness.distributed.limits.budget_client import AskPurse, SharedMoney
from evalharness.distributed.limits.limiter import SharedGate
from evalharness.distributed.limits.slot_messages import AskDesk
from evalharness.distributed.messages import (
    CoordinatorLostError,
    Counted,
    Ended,
    News,
    Pulled,
    Reach,
    Work,
)
from evalharness.distributed.progress_counters import Counting
from evalharness.distributed.store import ListParts, ShardStore
from evalharness.errors import EXIT_STORAGE
from evalharness.http import Transport, open_transport
from evalharness.planning.plan import Plan
from evalharness.providers.remote import read_key
from evalharness.records import Trial
from evalharness.runner.budget import Money
from evalharness.runner.endpoint import Lane
from evalharness.runner.loop import Runner
from evalharness.runner.progress import Progress
from evalharness.runner.run_summary import Stop, Summary
from evalharness.throttle.clock import SystemClock
from evalharness.throttle.output_token_estimate import OutputEstimate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_COUNT_EVERY_S = 0.5
_MOST_WAITING = 1_000


class Office(PullShards, AskPurse, ListParts, Protocol):
    """Everything a worker says to its coordinator; each raises what the connection raises."""

    def desk(self, endpoint: str) -> AskDesk:
        """Where leave for requests to an endpoint comes from."""
        ...

    async def join(self) -> None:
        """Begin to hear news."""
        ...

    async def news(self) -> list[News]:
        """Wait for news."""
        ...

    async def stop(self, decision: Stop) -> None:
        """Stop everybody."""
        ...

    async def counted(self, counted: Counted) -> None:
        """Tell what was done since the last time."""
        ...


class ShardRunner(Runner):
    """A runner whose stops are everybody's.

    Args:
        office: the coordinator; the others as for :class:`~evalharness.runner.loop.Runner`.
    """

    def __init__(
        self,
        plan: Plan,
        store: ShardStore,
        lanes: Mapping[str, Lane],
        *,
        money: Money,
        progress: Progress,
        office: Office,
    ) -> None:
        super().__init__(plan, store, lanes, money=money, progress=progress)
        self._office = office
        self._heard_stop = False
        self.lost: str | None = None
        self.telling: asyncio.Task[None] | None = None

    def stop(self, decision: Stop) -> None:
        """Stop here and everywhere."""
        if self.lost is not None:
            return
        if not self._over and not self._heard_stop:
            self._heard_stop = True
            self.telling = asyncio.create_task(self._spread(decision))
        super().stop(decision)

    def hear_stop(self, decision: Stop) -> None:
        """Stop because somebody else did."""
        self._heard_stop = True
        super().stop(decision)

    def lose(self, reason: str) -> None:
        """The coordinator is gone: drain, and leave the rest to the driver."""
        if self.lost is None:
            self.lost = reason
            self.hear_stop(Stop(reason, EXIT_STORAGE))

    async def _spread(self, decision: Stop) -> None:
        try:
            await self._office.stop(decision)
        except Exception as error:
            self.lose(str(error))


class Worker:
    """Carries out its share of a run.

    Args:
        name: unique in the run, ``worker-…``.
        work: what all workers are told.
        office: how to reach the coordinator.
        journal: folder for the journal.
    """

    def __init__(self, name: str, work: Work, office: Office, journal: Path) -> None:
        self._name = name
        self._work = work
        self._office = office
        self._journal = journal
        self._plan = Plan(work.config, work.prompts, work.settings, work.profiles)
        self._done = _unpacked(work.done, len(self._plan))
        self._runner: ShardRunner | None = None

    async def run(self) -> Ended:
        """Pull and send until there is no more, or a stop is decided.

        Raises:
            EvalharnessError: a key is missing on this node, or the journal cannot be opened.
        """
        work, counting = self._work, Counting()
        async with AsyncExitStack() as stack:
            transport = await stack.enter_async_context(
                open_transport(work.config.transport, work.config.limits)
            )
            gates = {r.name: self._gate(r) for r in work.reaches}
            lanes = {r.name: _lane(r, transport, gates[r.name]) for r in work.reaches}
            money = SharedMoney(work.prices, self._office if work.limited else None)
            providers = {s.setting_id: s.provider for s in work.settings}
            store = ShardStore(work.root, self._journal, providers, self._office)
            stack.callback(store.close)
            runner = self._runner = ShardRunner(
                self._plan, store, lanes, money=money, progress=counting, office=self._office
            )
            store.on_lost = lambda error: runner.lose(error.message)
            backlog = self._backlog(store, runner, lanes)
            stack.callback(backlog.close)
            await self._office.join()
            listening = asyncio.create_task(self._listen(runner, gates))
            telling = asyncio.create_task(self._tell(counting))
            stack.callback(listening.cancel)
            stack.callback(telling.cancel)
            async with AsyncExitStack() as talks:
                for talker in (money, *gates.values()):
                    talker.on_lost = lambda error: runner.lose(str(error))
                    await talks.enter_async_context(talker)
                summary = await runner.work_off(backlog, work.config.limits.concurrency)
            if runner.telling is not None:
                await runner.telling
            store.lost = store.lost or runner.lost is not None
            await store.end()
            if store.failure is not None:
                summary.stop = Stop.because(store.failure)
            if runner.lost is None:
                await self._office.counted(counting.take())
        return _ended(runner, summary, store)

    def abandon(self) -> None:
        """Do not wait for what is in flight: it is recorded as in doubt."""
        if self._runner is not None:
            self._runner.abandon()

    def _gate(self, reach: Reach) -> SharedGate:
        seed = f"{self._work.config.order.shuffle_seed} {self._name}"
        return SharedGate(
            reach.name,
            reach.limits,
            reach.profile,
            SystemClock(),
            int.from_bytes(seed.encode()[-7:]),
            desk=self._office.desk(reach.name),
            needs_leave=self._work.needs_leave[reach.name],
        )

    def _backlog(
        self, store: ShardStore, runner: ShardRunner, lanes: dict[str, Lane]
    ) -> PulledBacklog:
        backlog = PulledBacklog(
            lanes,
            self._office,
            self._open_shard,
            self._work.unfinished,
            earlier=dict(self._work.earlier),
            carry=store.put,
            completed=store.completed,
            idle=store.seal_now,
            most_waiting=_MOST_WAITING,
            held=lambda name: lanes[name].gate.held_s(),
        )
        backlog.on_lost = lambda error: runner.lose(str(error))
        return backlog

    def _open_shard(self, pulled: Pulled) -> list[Trial]:
        assert pulled.shard is not None
        start, stop = pulled.shard
        trials = self._plan.trials(self._done, start=start, stop=stop)
        if pulled.again is None:
            return list(trials)
        recorded = _unpacked(pulled.again.done, stop - start)
        return [trial for trial in trials if not recorded[trial.position - start]]

    async def _listen(self, runner: ShardRunner, gates: Mapping[str, SharedGate]) -> None:
        while True:
            try:
                heard = await self._office.news()
            except CoordinatorLostError as error:
                runner.lose(error.message)
                return
            for news in heard:
                if news.word is not None:
                    gates[news.endpoint].hear(news.word)
                if news.stop is not None:
                    runner.hear_stop(news.stop)

    async def _tell(self, counting: Counting) -> None:
        while True:
            await asyncio.sleep(_COUNT_EVERY_S)
            try:
                await self._office.counted(counting.take())
            except CoordinatorLostError:  # others hear of it, who cannot do without
                return


def _ended(runner: ShardRunner, summary: Summary, store: ShardStore) -> Ended:
    """What a worker did, for the driver."""
    return Ended(
        sent=summary.sent,
        retried=summary.retried,
        in_doubt=summary.in_doubt,
        prompt_tokens=summary.prompt_tokens,
        completion_tokens=summary.completion_tokens,
        billed_usd=summary.billed_usd,
        unsaved=summary.unsaved + store.journal.lost_records,
        lost=runner.lost,
        session=runner.session(),
        stop=summary.stop,
    )


def _lane(reach: Reach, transport: Transport, gate: SharedGate) -> Lane:
    key = None if reach.api_key_env is None else read_key(reach.api_key_env)
    client = ChatClient(
        transport, reach.base_url, key=key, headers=dict(reach.headers), profile=reach.profile
    )
    return Lane(client, gate, OutputEstimate())


def _unpacked(flags: bytes, count: int) -> NDArray[np.bool_]:
    import numpy as np

    packed = np.frombuffer(flags, dtype=np.uint8)
    return np.unpackbits(packed, count=count).astype(np.bool_)
