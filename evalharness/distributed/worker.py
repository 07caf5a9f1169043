"""One worker: the runner of a single process, over shards it takes from the coordinator."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from evalharness.chat_api.client import ChatClient
from evalharness.chat_api.protocols import get_protocol
from evalharness.distributed.backlog import ShardBacklog, ShardSource
from evalharness.distributed.limits.budget_client import BudgetClient, SharedBudget
from evalharness.distributed.limits.limiter import SharedLimiter
from evalharness.distributed.limits.slot_messages import SlotClient
from evalharness.distributed.messages import (
    CoordinatorLostError,
    CounterDelta,
    EndpointSpec,
    ShardAssignment,
    WorkerDone,
    WorkerNotice,
    WorkerSetup,
)
from evalharness.distributed.part_upload import PartUpload, check_shared_folder
from evalharness.distributed.progress_counters import ProgressCounters
from evalharness.distributed.store import PartRegistry, ShardStore
from evalharness.errors import EXIT_STORAGE
from evalharness.http import Transport, Transports
from evalharness.planning.plan import Plan
from evalharness.providers.credentials import read_key, read_secret_headers
from evalharness.records import Trial
from evalharness.runner.context import RunContext
from evalharness.runner.endpoint import EndpointRuntime
from evalharness.runner.loop import Runner
from evalharness.runner.run_summary import RunSummary, StopReason
from evalharness.store.parts.setting_columns import columns_by_setting
from evalharness.throttle.clock import SystemClock
from evalharness.throttle.limiter import EndpointLimiter
from evalharness.throttle.output_token_estimate import TokenEstimator

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_REPORT_EVERY_S = 0.5
_MAX_WAITING = 1_000


class CoordinatorApi(ShardSource, BudgetClient, PartRegistry, Protocol):
    """All calls of a worker to its coordinator; each raises what the connection raises."""

    def slot_client(self, endpoint: str) -> SlotClient:
        """How the slot server of an endpoint is reached."""
        ...

    async def register(self) -> None:
        """Begin to get notices."""
        ...

    async def next_notices(self) -> list[WorkerNotice]:
        """Wait for notices."""
        ...

    async def stop(self, decision: StopReason) -> None:
        """Stop all workers."""
        ...

    async def report_progress(self, counters: CounterDelta) -> None:
        """Report what was done since the last time."""
        ...


class ShardRunner(Runner):
    """A runner that stops all workers when it stops.

    Args:
        context: as for :class:`~evalharness.runner.loop.Runner`.
        coordinator: its API.
    """

    def __init__(self, context: RunContext, coordinator: CoordinatorApi) -> None:
        super().__init__(context)
        self._coordinator = coordinator
        self._stop_is_shared = False
        self.lost_reason: str | None = None
        self.stop_message: asyncio.Task[None] | None = None

    def stop(self, decision: StopReason) -> None:
        """Stop here and everywhere."""
        if self.lost_reason is not None:
            return
        if not self._finished and not self._stop_is_shared:
            self._stop_is_shared = True
            self.stop_message = asyncio.create_task(self._share_stop(decision))
        super().stop(decision)

    def on_stop(self, decision: StopReason) -> None:
        """Stop because another worker or the driver did."""
        self._stop_is_shared = True
        super().stop(decision)

    def on_coordinator_lost(self, reason: str) -> None:
        """The coordinator is lost: drain, and leave the rest to the driver."""
        if self.lost_reason is None:
            self.lost_reason = reason
            self.on_stop(StopReason(reason, EXIT_STORAGE))

    async def _share_stop(self, decision: StopReason) -> None:
        try:
            await self._coordinator.stop(decision)
        except Exception as error:
            self.on_coordinator_lost(str(error))


class ShardWorker:
    """Carries out its share of a run.

    Args:
        name: unique in the run, ``worker-…``.
        setup: what all workers are sent.
        coordinator: its API.
        journal: folder for the journal.
    """

    def __init__(
        self, name: str, setup: WorkerSetup, coordinator: CoordinatorApi, journal: Path
    ) -> None:
        self._name = name
        self._setup = setup
        self._coordinator = coordinator
        self._journal = journal
        self._plan = Plan(
            setup.config, setup.prompts, setup.settings, setup.profiles, setup.protocols
        )
        self._done = _unpack_flags(setup.done, len(self._plan))
        self._runner: ShardRunner | None = None

    async def run(self) -> WorkerDone:
        """Take shards and send until there are no more, or a stop is decided.

        Raises:
            EvalharnessError: a key is missing on this node, or the journal cannot be opened.
        """
        setup, counters = self._setup, ProgressCounters()
        async with AsyncExitStack() as stack:
            transports = Transports(setup.config.transport, setup.config.limits, stack)
            limiters = {e.name: self._limiter(e) for e in setup.endpoints}
            endpoints = {
                e.name: worker_endpoint(e, await transports.get(e.tls), limiters[e.name])
                for e in setup.endpoints
            }
            budget = worker_budget(setup, self._coordinator)
            settings = columns_by_setting(setup.settings)
            upload = await asyncio.to_thread(self._open_upload)
            store = ShardStore(setup.root, self._journal, settings, self._coordinator, upload)
            stack.callback(store.close)
            context = RunContext(self._plan, store, endpoints, budget, counters)
            runner = self._runner = ShardRunner(context, self._coordinator)
            store.on_lost = lambda error: runner.on_coordinator_lost(error.message)
            backlog = self._backlog(store, runner, endpoints)
            stack.callback(backlog.close)
            await self._coordinator.register()
            notices = asyncio.create_task(self._apply_notices(runner, limiters))
            reports = asyncio.create_task(report_progress(self._coordinator, counters))
            stack.callback(notices.cancel)
            stack.callback(reports.cancel)
            async with AsyncExitStack() as connections:
                for client in (budget, *limiters.values()):
                    client.on_lost = lambda error: runner.on_coordinator_lost(str(error))
                    await connections.enter_async_context(client)
                summary = await runner.drain(backlog, setup.config.limits.concurrency)
            if runner.stop_message is not None:
                await runner.stop_message
            store.coordinator_lost = store.coordinator_lost or runner.lost_reason is not None
            await store.end()
            if store.failure is not None:
                summary.stop = StopReason.from_error(store.failure)
            if runner.lost_reason is None:
                await self._coordinator.report_progress(counters.take())
        return _worker_done(runner, summary, store)

    def _open_upload(self) -> PartUpload | None:
        """Where parts are uploaded; None where they go into the run folder, which is checked."""
        if self._setup.upload is None:
            check_shared_folder(self._setup.root, self._setup.holder)
            return None
        upload = PartUpload(self._setup.upload)
        upload.check()
        return upload

    def abandon(self) -> None:
        """Do not wait for what is in flight: it is recorded as in doubt."""
        if self._runner is not None:
            self._runner.abandon()

    def _limiter(self, endpoint: EndpointSpec) -> SharedLimiter:
        seed = f"{self._setup.config.order.shuffle_seed} {self._name}"
        return SharedLimiter(
            endpoint.name,
            endpoint.limits,
            endpoint.profile,
            SystemClock(),
            int.from_bytes(seed.encode()[-7:]),
            client=self._coordinator.slot_client(endpoint.name),
            needs_grant=self._setup.needs_grant[endpoint.name],
        )

    def _backlog(
        self, store: ShardStore, runner: ShardRunner, endpoints: dict[str, EndpointRuntime]
    ) -> ShardBacklog:
        backlog = ShardBacklog(
            endpoints,
            self._coordinator,
            self._open_shard,
            self._setup.unfinished,
            earlier=dict(self._setup.earlier),
            record_earlier=store.put,
            on_shard_finished=store.finish_shard,
            on_idle=store.seal_now,
            max_waiting=_MAX_WAITING,
            blocked_for_s=lambda name: endpoints[name].limiter.blocked_for_s(),
        )
        backlog.on_lost = lambda error: runner.on_coordinator_lost(str(error))
        return backlog

    def _open_shard(self, assignment: ShardAssignment) -> list[Trial]:
        assert assignment.shard is not None
        start, stop = assignment.shard
        trials = self._plan.trials(self._done, start=start, stop=stop)
        if assignment.history is None:
            return list(trials)
        recorded = _unpack_flags(assignment.history.done, stop - start)
        return [trial for trial in trials if not recorded[trial.position - start]]

    async def _apply_notices(
        self, runner: ShardRunner, limiters: Mapping[str, SharedLimiter]
    ) -> None:
        while True:
            try:
                notices = await self._coordinator.next_notices()
            except CoordinatorLostError as error:
                runner.on_coordinator_lost(error.message)
                return
            for notice in notices:
                if notice.broadcast is not None:
                    limiters[notice.endpoint].on_broadcast(notice.broadcast)
                if notice.stop is not None:
                    runner.on_stop(notice.stop)


async def report_progress(coordinator: CoordinatorApi, counters: ProgressCounters) -> None:
    """Report what was done now and then, until the coordinator is lost."""
    while True:
        await asyncio.sleep(_REPORT_EVERY_S)
        try:
            await coordinator.report_progress(counters.take())
        except CoordinatorLostError:  # other calls fail, too, and stop the worker
            return


def _worker_done(runner: ShardRunner, summary: RunSummary, store: ShardStore) -> WorkerDone:
    """What a worker did, for the driver."""
    return WorkerDone(
        sent=summary.sent,
        retried=summary.retried,
        in_doubt=summary.in_doubt,
        prompt_tokens=summary.prompt_tokens,
        completion_tokens=summary.completion_tokens,
        billed_usd=summary.billed_usd,
        unsaved=summary.unsaved + store.journal.lost_records,
        lost_reason=runner.lost_reason,
        session=runner.session_entry(),
        stop=summary.stop,
    )


def worker_budget(setup: WorkerSetup, coordinator: CoordinatorApi) -> SharedBudget:
    """A worker's part of the budget: of the coordinator, where there is a limit."""
    return SharedBudget(
        setup.prices,
        coordinator if setup.has_cost_limit else None,
        part_tokens={name: p.part_tokens for name, p in setup.profiles.items()},
        total_usd=setup.config.limits.max_cost_usd,
    )


def worker_endpoint(
    endpoint: EndpointSpec, transport: Transport, limiter: EndpointLimiter
) -> EndpointRuntime:
    """What a worker sends through; the keys are this process's."""
    key = None if endpoint.api_key_env is None else read_key(endpoint.api_key_env)
    client = ChatClient(
        transport,
        endpoint.base_url,
        key=key,
        auth=endpoint.auth,
        headers=dict(endpoint.headers),
        secret_headers=read_secret_headers(dict(endpoint.secret_headers)),
        query=endpoint.query,
        allow_plain_http=endpoint.allow_plain_http,
        profile=endpoint.profile,
        protocol=get_protocol(endpoint.protocol),
    )
    return EndpointRuntime(client, limiter, TokenEstimator())


def _unpack_flags(flags: bytes, count: int) -> NDArray[np.bool_]:
    import numpy as np

    packed = np.frombuffer(flags, dtype=np.uint8)
    return np.unpackbits(packed, count=count).astype(np.bool_)
