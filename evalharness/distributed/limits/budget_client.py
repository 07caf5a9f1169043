"""A worker's budget: its limit is an allowance that the coordinator raises on request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Protocol

from evalharness.distributed.limits.budget_server import Allowance
from evalharness.distributed.limits.limiter import MESSAGE_EVERY_S
from evalharness.errors import BudgetReachedError
from evalharness.pricing import usd_text
from evalharness.runner.budget import RequestPrice, RunBudget

# How often a worker that got too little asks again, and how often it reports what it has spent.
REQUEST_EVERY_S = 0.1
REPORT_EVERY_S = 0.25
# It asks for more while it has room for fewer requests than this.
_MIN_REQUESTS = 8
_ZERO = Decimal(0)


class BudgetClient(Protocol):
    """How a worker reaches the budget server of its run; raises what the connection raises."""

    async def request_budget(
        self, need: Decimal, committed_usd: Decimal, available_usd: Decimal
    ) -> Allowance:
        """Ask for room for ``need`` more; the rest as in :meth:`report_budget`."""
        ...

    async def report_budget(self, committed_usd: Decimal, available_usd: Decimal) -> bool:
        """Report how the allowance was used; returns whether others need what is available."""
        ...

    async def release_budget(self, amount: Decimal) -> Decimal:
        """Lower the allowance; returns the new one."""
        ...


class SharedBudget(RunBudget):
    """Keeps one worker within its allowance (see :class:`.budget_server.BudgetServer`).

    Use it as an asynchronous context manager: inside, it exchanges messages with the server.

    Args:
        prices: by setting_id; None where no price is known.
        client: where allowances come from; None where the run has no cost limit.
        part_tokens: as in :class:`~evalharness.runner.budget.RunBudget`.
        total_usd: the run's limit, for the message when it is reached.

    Attributes:
        on_lost: called with the reason when the server cannot be reached; requests are then
            admitted only within the allowance there is.
    """

    def __init__(
        self,
        prices: Mapping[str, RequestPrice | None],
        client: BudgetClient | None,
        *,
        part_tokens: Mapping[str, Mapping[str, int]] = MappingProxyType({}),
        total_usd: Decimal | None = None,
    ) -> None:
        super().__init__(None if client is None else _ZERO, prices, part_tokens=part_tokens)
        self._client = client
        self._total_usd = total_usd
        self._need = _ZERO
        self._never_fits: Decimal | None = None  # the least for which there will never be room
        self._wants_more = asyncio.Event()
        self._messages: asyncio.Task[None] | None = None
        self.on_lost: Callable[[Exception], None] = lambda _: None

    async def __aenter__(self) -> SharedBudget:
        if self._client is not None:
            self._messages = asyncio.create_task(self._exchange_messages(self._client))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._messages is not None:
            self._messages.cancel()
            await asyncio.gather(self._messages, return_exceptions=True)

    def reserve(self, key: str, worst: Decimal | None, *, model: str) -> bool:
        """Reserve the worst case of one attempt (see :meth:`RunBudget.reserve`).

        False also where the allowance must be raised first; the request for that is sent.

        Raises:
            BudgetReachedError: there would be no room even if all that is in flight, in all
                workers, were free of charge.
            ConfigError: there is a limit, and no price.
        """
        reserved = self._budget.reserve(key, worst, model=model)
        if self._client is None:
            return reserved
        assert worst is not None
        if not reserved and self._never_fits is not None and worst >= self._never_fits:
            raise self._reached_error(worst)
        if not reserved or self._budget.available_usd < worst * _MIN_REQUESTS:
            self._need = max(self._need, worst)
            self._wants_more.set()
        return reserved

    def _reached_error(self, worst: Decimal) -> BudgetReachedError:
        """In words about the whole run: nobody has set this worker's allowance."""
        return BudgetReachedError(
            f"limits.max_cost_usd={self._total_usd} leaves no room for another request: it may "
            f"cost {usd_text(worst)}, and the workers have spent or hold in doubt all but less "
            "than that",
            hint=f"raise limits.max_cost_usd by {usd_text(worst)} or more",
        )

    async def _exchange_messages(self, client: BudgetClient) -> None:
        """Ask when there is too little, else report now and then; one message at a time."""
        budget = self._budget
        try:
            while True:
                try:
                    await asyncio.wait_for(self._wants_more.wait(), REPORT_EVERY_S)
                except TimeoutError:
                    await self._report(client)
                    continue
                self._wants_more.clear()
                need, self._need = self._need, _ZERO
                allowance = await client.request_budget(
                    need, budget.committed_usd, budget.available_usd
                )
                budget.limit_usd = allowance.limit_usd
                if allowance.exhausted:
                    least = self._never_fits
                    self._never_fits = need if least is None else min(need, least)
                self._notify_freed()
                too_little = budget.available_usd < need
                if too_little:  # it may be enough for another worker, with what that one has
                    await self._report(client)
                await asyncio.sleep(REQUEST_EVERY_S if too_little else MESSAGE_EVERY_S)
                if too_little:  # requests of other workers may have ended: ask again
                    self._notify_freed()
        except Exception as error:
            self.on_lost(error)

    async def _report(self, client: BudgetClient) -> None:
        budget = self._budget
        wanted = await client.report_budget(budget.committed_usd, budget.available_usd)
        # What is returned must not be reserved meanwhile: it leaves the limit first.
        unused = budget.available_usd
        if wanted and unused > 0:
            assert budget.limit_usd is not None
            budget.limit_usd -= unused
            budget.limit_usd = await client.release_budget(unused)
