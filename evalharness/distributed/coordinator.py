"""The coordinator of a run on several workers: the one place where its limits are kept.

It decides nothing by itself: desks, purse and board are plain values (see :mod:`.desk`,
:mod:`.purse`, :mod:`.shards`), and it passes on what one worker must tell all. It holds nothing
that a disk does not: when it is lost, workers stop, and another one starts from the run folder.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from decimal import Decimal

from evalharness.distributed.limits.budget_server import Granted, Purse
from evalharness.distributed.limits.slot_messages import Word
from evalharness.distributed.limits.slot_server import Answer, Ask, Desk
from evalharness.distributed.messages import (
    Again,
    Counted,
    Heard,
    Lease,
    News,
    Pulled,
    Seal,
    Setup,
)
from evalharness.distributed.shard_board import Board, Shard
from evalharness.runner.run_summary import Stop
from evalharness.store.parts.seal import Sealed
from evalharness.throttle.concurrency import LimitRecord


class Coordinator:
    """Everything runs on one event loop; methods that wait for others say so."""

    def __init__(self, setup: Setup) -> None:
        now, now_ns = time.monotonic(), time.time_ns()
        self._epoch_ns = now_ns - round(now * 1e9)
        self._desks = {r.name: Desk(r.limits, r.profile, now) for r in setup.reaches}
        self._welcome: list[News] = []
        for name, memory in setup.memory.items():
            desk = self._desks[name]
            desk.recall(memory.sent, now, now_ns)
            if memory.pause is not None:
                desk.pause.begin(now, *memory.pause)
            if memory.probe_first:
                desk.outage.probe_first()
                self._welcome.append(News(name, Word(serving=False)))
        limit = setup.max_cost_usd
        self._purse = None if limit is None else Purse(limit, gone=setup.gone)
        self._board = Board(setup.planned, setup.shard_trials)
        self._again: dict[Shard, Again] = {}
        self._next_part = setup.next_part
        self._stop: Stop | None = None
        self._news: dict[str, list[News]] = {}
        self._rung: dict[str, asyncio.Event] = {}
        self._heard = Heard()
        self._driver = asyncio.Event()
        self._unlisted: dict[int, asyncio.Future[str | None]] = {}
        self._numbers = 0
        self._ledger = setup.ledger

    # ── limits ───────────────────────────────────────────────────────────────────────────────

    async def ask(self, worker: str, endpoint: str, ask: Ask, words: Sequence[Word]) -> Answer:
        """Leave for requests of a worker (see :meth:`.desk.Desk.ask`), after its words."""
        desk, now = self._desks[endpoint], time.monotonic()
        for word in words:
            if word.pause_s is not None:
                desk.pause.begin(now, word.pause_s, word.reason)
            if word.serving is True:
                desk.outage.alive()
                desk.pause.ramp(now)
            elif word.serving is False:
                desk.outage.begin(now)
            self._tell_all(News(endpoint, word), but=worker)
        if self._stop is not None and ask.tokens:
            ask = ask._replace(tokens=())
        return desk.ask(worker, ask, now)

    async def more(self, worker: str, need: Decimal, gone: Decimal, unused: Decimal) -> Granted:
        """More money for a worker (see :meth:`.purse.Purse.more`)."""
        purse = self._money()
        purse.told(worker, gone=gone, unused=unused)
        return purse.more(worker, need)

    async def told(self, worker: str, gone: Decimal, unused: Decimal) -> bool:
        """What a worker has spent; whether others need what it does not use."""
        purse = self._money()
        purse.told(worker, gone=gone, unused=unused)
        return purse.wanted_back

    async def give_back(self, worker: str, amount: Decimal) -> Decimal:
        """A worker lowers its allowance; returns the new one."""
        return self._money().give_back(worker, amount)

    def _money(self) -> Purse:
        assert self._purse is not None
        return self._purse

    # ── work ─────────────────────────────────────────────────────────────────────────────────

    async def take(self, worker: str) -> Pulled:
        """The next shard for a worker."""
        shard = None if self._stop is not None else self._board.take(worker)
        if shard is None:
            return Pulled(None, over=self._board.done or self._stop is not None)
        if self._ledger:
            number, noted = self._question()
            self._heard.leases.append(Lease(number, worker, shard))
            self._driver.set()
            if await noted is not None:  # the driver stops everybody
                return Pulled(None, over=True)
        return Pulled(shard, over=False, again=self._again.get(shard))

    async def finished(self, worker: str, shards: Sequence[Shard]) -> None:
        """Every trial of these shards is in a part."""
        for shard in shards:
            self._board.finished(worker, shard)

    async def part_number(self) -> int:
        """A number that no other part has."""
        number, self._next_part = self._next_part, self._next_part + 1
        return number

    async def sealed(self, worker: str, sealed: Sealed) -> str | None:
        """A worker's parts have their names: wait until the driver has listed them.

        Returns why it could not, None when it has.
        """
        number, listed = self._question()
        self._heard.seals.append(Seal(number, worker, sealed))
        self._driver.set()
        return await listed

    def _question(self) -> tuple[int, asyncio.Future[str | None]]:
        """A number, and what the driver will answer to it."""
        self._numbers += 1
        answer = self._unlisted[self._numbers] = asyncio.get_running_loop().create_future()
        return self._numbers, answer

    # ── news ─────────────────────────────────────────────────────────────────────────────────

    async def join(self, worker: str) -> None:
        """A worker begins: it hears what has been said so far."""
        self._rung[worker] = asyncio.Event()
        self._news[worker] = [*self._welcome]
        if self._stop is not None:
            self._news[worker].append(News(stop=self._stop))
        if self._news[worker]:
            self._rung[worker].set()

    async def news(self, worker: str) -> list[News]:
        """Wait until there is something a worker must hear."""
        rung = self._rung[worker]
        await rung.wait()
        rung.clear()
        news, self._news[worker] = self._news[worker], []
        return news

    async def stop(self, decision: Stop) -> None:
        """Nobody starts anything new. The first decision stays."""
        if self._stop is None:
            self._stop = self._heard.stop = decision
            self._driver.set()
            self._tell_all(News(stop=decision))

    async def counted(self, worker: str, counted: Counted) -> None:
        """What a worker has done lately."""
        self._heard.counted[worker] = _sum(self._heard.counted.get(worker), counted)

    def _tell_all(self, news: News, but: str | None = None) -> None:
        for worker, waiting in self._news.items():
            if worker != but:
                waiting.append(news)
                self._rung[worker].set()

    # ── the driver's side ────────────────────────────────────────────────────────────────────

    async def heard(self, wait_s: float) -> Heard:
        """What is new, for the driver; waits up to ``wait_s`` for something urgent."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._driver.wait(), wait_s)
        self._driver.clear()
        heard, self._heard = self._heard, Heard()
        return heard

    async def listed(self, numbers: Sequence[int], refused: str | None) -> None:
        """The driver has listed workers' parts or noted their shards, or the disk refused."""
        for number in numbers:
            listed = self._unlisted.pop(number)
            if not listed.done():
                listed.set_result(refused)

    async def gone(self, worker: str) -> list[Shard]:
        """A worker is dead: its slots are free. Returns what it had, for :meth:`again`."""
        now = time.monotonic()
        for desk in self._desks.values():
            desk.gone(worker, now)
        if self._purse is not None:
            self._purse.lost(worker)
        self._news.pop(worker, None)
        self._rung.pop(worker, None)
        return self._board.held(worker)

    async def again(self, worker: str, known: Sequence[Again], spent: Decimal) -> None:
        """The shards of a dead worker go to others, with what is known of each.

        ``spent`` is what it spent, in US dollars, with what is in doubt.
        """
        if self._purse is not None:
            self._purse.settled(worker, spent)
        self._again.update(zip(self._board.lost(worker), known, strict=True))

    async def history(self) -> dict[str, tuple[list[LimitRecord], int]]:
        """Concurrency limits of each endpoint by wall clock, and how many were left out."""
        return {
            name: (
                desk.history.records(self._epoch_ns),
                desk.history.omitted,
            )
            for name, desk in self._desks.items()
        }


def _sum(before: Counted | None, more: Counted) -> Counted:
    if before is None:
        return more
    cost = before.cost_usd
    if more.cost_usd is not None:
        cost = more.cost_usd if cost is None else cost + more.cost_usd
    return Counted(
        finished=before.finished + more.finished,
        failed=before.failed + more.failed,
        tokens=before.tokens + more.tokens,
        cost_usd=cost,
        unknown=before.unknown + more.unknown,
        waiting=more.waiting,
    )
