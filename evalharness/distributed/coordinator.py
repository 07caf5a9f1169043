"""The coordinator of a run on several workers: the one place where its limits are kept.

It decides nothing by itself. Slot servers, budget server and shard board are plain values (see
:mod:`.limits.slot_server`, :mod:`.limits.budget_server`, :mod:`.shard_board`); the coordinator
passes on what one worker must tell all. It holds nothing that is not also on a disk: when it is
lost, workers stop, and another one starts from the run folder.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from decimal import Decimal

from evalharness.distributed.limits.budget_server import Allowance, BudgetServer
from evalharness.distributed.limits.slot_messages import Broadcast
from evalharness.distributed.limits.slot_server import SlotRequest, SlotResponse, SlotServer
from evalharness.distributed.messages import (
    CoordinatorSetup,
    CoordinatorUpdate,
    CounterDelta,
    Lease,
    SealReport,
    ShardAssignment,
    ShardHistory,
    WorkerNotice,
)
from evalharness.distributed.shard_board import Shard, ShardBoard
from evalharness.process import session_clock
from evalharness.runner.run_summary import StopReason
from evalharness.store.parts.seal import SealedParts
from evalharness.throttle.concurrency import LimitRecord


class Coordinator:
    """Everything runs on one event loop; methods that wait for the driver or for events say so."""

    def __init__(self, setup: CoordinatorSetup) -> None:
        now, now_ns = time.monotonic(), session_clock.now_ns()
        self._epoch_ns = now_ns - round(now * 1e9)
        self._slots = {e.name: SlotServer(e.limits, e.profile, now) for e in setup.endpoints}
        self._first_notices: list[WorkerNotice] = []
        for name, history in setup.histories.items():
            server = self._slots[name]
            server.restore(history.sent, now, now_ns)
            if history.pause is not None:
                server.pause.begin(now, *history.pause)
            if history.probe_first:
                server.outage.probe_first()
                self._first_notices.append(WorkerNotice(name, Broadcast(serving=False)))
        limit = setup.max_cost_usd
        self._budget = (
            None if limit is None else BudgetServer(limit, committed_usd=setup.committed_usd)
        )
        self._board = ShardBoard(setup.planned, setup.shard_size)
        self._shard_histories: dict[Shard, ShardHistory] = {}
        self._next_part = setup.next_part
        self._stop: StopReason | None = None
        self._notices: dict[str, list[WorkerNotice]] = {}
        self._has_notices: dict[str, asyncio.Event] = {}
        self._update = CoordinatorUpdate()
        self._update_urgent = asyncio.Event()
        self._pending: dict[int, asyncio.Future[str | None]] = {}  # answers the driver owes
        self._last_number = 0
        self._has_ledger = setup.has_ledger
        self._has_part_ledger = setup.has_part_ledger
        self._removed: set[str] = set()

    # ── limits ───────────────────────────────────────────────────────────────────────────────

    async def request_slots(
        self, worker: str, endpoint: str, request: SlotRequest, broadcasts: Sequence[Broadcast]
    ) -> SlotResponse:
        """Pass on a worker's broadcasts, then grant requests.

        See :meth:`.limits.slot_server.SlotServer.request_slots`.
        """
        self._refuse_removed(worker)
        server, now = self._slots[endpoint], time.monotonic()
        for broadcast in broadcasts:
            if broadcast.pause_s is not None:
                server.pause.begin(now, broadcast.pause_s, broadcast.reason)
            if broadcast.serving is True:
                server.outage.end()
                server.pause.ramp(now)
            elif broadcast.serving is False:
                server.outage.begin(now)
            self._notify_all(WorkerNotice(endpoint, broadcast), but=worker)
        if self._stop is not None and request.tokens:
            request = request._replace(tokens=())
        return server.request_slots(worker, request, now)

    async def request_budget(
        self, worker: str, need: Decimal, committed_usd: Decimal, available_usd: Decimal
    ) -> Allowance:
        """Raise a worker's allowance (see :meth:`.limits.budget_server.BudgetServer.request`)."""
        self._refuse_removed(worker)
        server = self._budget_server()
        server.report(worker, committed_usd=committed_usd, available_usd=available_usd)
        return server.request(worker, need)

    async def report_budget(
        self, worker: str, committed_usd: Decimal, available_usd: Decimal
    ) -> bool:
        """Note what a worker has spent; returns whether others need what it does not use."""
        self._refuse_removed(worker)
        server = self._budget_server()
        server.report(worker, committed_usd=committed_usd, available_usd=available_usd)
        return server.wants_release

    async def release_budget(self, worker: str, amount: Decimal) -> Decimal:
        """Lower a worker's allowance; returns the new one."""
        self._refuse_removed(worker)
        return self._budget_server().release(worker, amount)

    def _refuse_removed(self, worker: str) -> None:
        """Refuse a worker that was held for dead: its share and its shards are others' now."""
        if worker in self._removed:
            raise PermissionError(f"{worker} did not answer, and the run went on without it")

    def _budget_server(self) -> BudgetServer:
        assert self._budget is not None
        return self._budget

    # ── shards and parts ─────────────────────────────────────────────────────────────────────

    async def take_shard(self, worker: str) -> ShardAssignment:
        """The next shard for a worker; waits until it is in the ledger where there is one."""
        self._refuse_removed(worker)
        shard = None if self._stop is not None else self._board.take(worker)
        if shard is None:
            return ShardAssignment(None, exhausted=self._board.done or self._stop is not None)
        if self._has_ledger:
            number, answer = self._ask_driver()
            self._update.leases.append(Lease(number, worker, shard))
            self._update_urgent.set()
            if await answer is not None:  # the driver stops everybody
                return ShardAssignment(None, exhausted=True)
        return ShardAssignment(shard, exhausted=False, history=self._shard_histories.get(shard))

    async def finish_shards(self, worker: str, shards: Sequence[Shard]) -> None:
        """Every trial of these shards is in a part."""
        self._refuse_removed(worker)
        for shard in shards:
            self._board.finish(worker, shard)

    async def next_part_number(self, worker: str) -> int | None:
        """A number that no other part has, in the ledger where there is one; None to stop."""
        self._refuse_removed(worker)
        part, self._next_part = self._next_part, self._next_part + 1
        if self._has_part_ledger:
            number, answer = self._ask_driver()
            self._update.leases.append(Lease(number, worker, part=part))
            self._update_urgent.set()
            if await answer is not None:
                return None
        return part

    async def list_parts(self, worker: str, sealed: SealedParts) -> str | None:
        """A worker's parts have their names: wait until the driver has listed them.

        Returns why it could not, None when it has.
        """
        self._refuse_removed(worker)
        number, answer = self._ask_driver()
        self._update.seals.append(SealReport(number, worker, sealed))
        self._update_urgent.set()
        return await answer

    def _ask_driver(self) -> tuple[int, asyncio.Future[str | None]]:
        """A number for a question to the driver, and the future of its answer."""
        self._last_number += 1
        answer = self._pending[self._last_number] = asyncio.get_running_loop().create_future()
        return self._last_number, answer

    # ── notices to workers ───────────────────────────────────────────────────────────────────

    async def register(self, worker: str) -> None:
        """A worker begins: it gets the notices that hold already."""
        self._has_notices[worker] = asyncio.Event()
        self._notices[worker] = [*self._first_notices]
        if self._stop is not None:
            self._notices[worker].append(WorkerNotice(stop=self._stop))
        if self._notices[worker]:
            self._has_notices[worker].set()

    async def next_notices(self, worker: str) -> list[WorkerNotice]:
        """Wait until there are notices for a worker; returns them."""
        has_notices = self._has_notices[worker]
        await has_notices.wait()
        has_notices.clear()
        notices, self._notices[worker] = self._notices[worker], []
        return notices

    async def stop(self, decision: StopReason) -> None:
        """Nobody starts anything new. The first decision stays."""
        if self._stop is None:
            self._stop = self._update.stop = decision
            self._update_urgent.set()
            self._notify_all(WorkerNotice(stop=decision))

    async def report_progress(self, worker: str, counters: CounterDelta) -> None:
        """Add what a worker has done since its last report."""
        earlier = self._update.counters.get(worker)
        self._update.counters[worker] = counters if earlier is None else _sum(earlier, counters)

    def _notify_all(self, notice: WorkerNotice, but: str | None = None) -> None:
        for worker, notices in self._notices.items():
            if worker != but:
                notices.append(notice)
                self._has_notices[worker].set()

    # ── the driver's side ────────────────────────────────────────────────────────────────────

    async def next_update(self, wait_s: float) -> CoordinatorUpdate:
        """What is new, for the driver; waits up to ``wait_s`` for something urgent."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._update_urgent.wait(), wait_s)
        self._update_urgent.clear()
        update, self._update = self._update, CoordinatorUpdate()
        return update

    async def answer(self, numbers: Sequence[int], refusal: str | None) -> None:
        """The driver has listed parts or recorded leases; ``refusal`` says why it could not."""
        for number in numbers:
            answer = self._pending.pop(number)
            if not answer.done():
                answer.set_result(refusal)

    async def remove_worker(self, worker: str) -> list[Shard]:
        """A worker is dead: its slots are free. Returns its shards, for :meth:`requeue`."""
        self._removed.add(worker)
        now = time.monotonic()
        for server in self._slots.values():
            server.remove_worker(worker, now)
        if self._budget is not None:
            self._budget.write_off(worker)
        self._notices.pop(worker, None)
        self._has_notices.pop(worker, None)
        return self._board.shards_of(worker)

    async def requeue(
        self, worker: str, histories: Sequence[ShardHistory], committed_usd: Decimal
    ) -> None:
        """The shards of a dead worker go to others, with what is known of each.

        ``committed_usd`` is what it spent or left in doubt.
        """
        if self._budget is not None:
            self._budget.settle(worker, committed_usd)
        self._shard_histories.update(zip(self._board.requeue(worker), histories, strict=True))

    async def concurrency_history(self) -> dict[str, tuple[list[LimitRecord], int]]:
        """Concurrency limits of each endpoint by wall clock, and how many were left out."""
        return {
            name: (
                server.history.records(self._epoch_ns),
                server.history.omitted,
            )
            for name, server in self._slots.items()
        }


def _sum(total: CounterDelta, delta: CounterDelta) -> CounterDelta:
    cost = total.cost_usd
    if delta.cost_usd is not None:
        cost = delta.cost_usd if cost is None else cost + delta.cost_usd
    return CounterDelta(
        finished=total.finished + delta.finished,
        failed=total.failed + delta.failed,
        tokens=total.tokens + delta.tokens,
        cost_usd=cost,
        unknown=total.unknown + delta.unknown,
        waiting=delta.waiting,
    )
