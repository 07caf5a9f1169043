"""A worker's money guard: its limit is an allowance that the coordinator raises on request."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from decimal import Decimal
from typing import Protocol

from evalharness.distributed.purse import Granted
from evalharness.records import Trial
from evalharness.runner.money import Money, Price

# Whoever found too little asks again after this long, or as soon as a request of its own ends.
RETRY_S = 0.1
# How often a worker tells what it has spent, and gives back what others need more.
TELL_EVERY_S = 0.25
_ZERO = Decimal(0)


class AskPurse(Protocol):
    """How a worker reaches the purse of its run; raises what the connection raises."""

    async def more(self, need: Decimal, gone: Decimal, unused: Decimal) -> Granted:
        """Ask for room for ``need`` more."""
        ...

    async def told(self, gone: Decimal, unused: Decimal) -> bool:
        """Tell what became of the allowance; whether others need what is unused."""
        ...

    async def give_back(self, amount: Decimal) -> Decimal:
        """Lower the allowance; returns the new one."""
        ...


class SharedMoney(Money):
    """Keeps one worker within its allowance (see :class:`~.purse.Purse`).

    Use it as an asynchronous context manager: inside, it tells the purse what was spent.

    Args:
        prices: by setting_id; None where no price is known.
        purse: where allowances come from; None where the run has no money limit.
    """

    def __init__(self, prices: Mapping[str, Price | None], purse: AskPurse | None) -> None:
        super().__init__(None if purse is None else _ZERO, prices)
        self._purse = purse
        self._asking = asyncio.Lock()
        self._telling: asyncio.Task[None] | None = None

    async def __aenter__(self) -> SharedMoney:
        if self._purse is not None:
            self._telling = asyncio.create_task(self._tell(self._purse))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._telling is not None:
            self._telling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._telling

    async def reserve(self, key: str, trial: Trial, body: bytes) -> Decimal | None:
        """Set the worst case of one attempt aside (see :meth:`Money.reserve`)."""
        worst = self.worst_case(trial, body)
        while not self.guard.reserve(key, worst, model=trial.setting.model):
            assert worst is not None
            if not await self._more(worst):
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.freed(), RETRY_S)
        return worst

    async def _more(self, worst: Decimal) -> bool:
        """Ask for room; whether there is more now.

        Raises:
            BudgetReachedError: there would be none even if all that is in flight were free.
        """
        assert self._purse is not None
        async with self._asking:
            if self.guard.room >= worst:  # another task has asked meanwhile
                return True
            granted = await self._purse.more(worst, self.guard.gone, self.guard.room)
            if granted.reached:
                raise self.reached(worst)
            self.guard.limit = granted.allowance
            return self.guard.room >= worst

    async def _tell(self, purse: AskPurse) -> None:
        while True:
            await asyncio.sleep(TELL_EVERY_S)
            async with self._asking:
                wanted = await purse.told(self.guard.gone, self.guard.room)
                if wanted and self.guard.room > 0:
                    self.guard.limit = await purse.give_back(self.guard.room)
