"""A worker's money guard: its limit is an allowance that the coordinator raises on request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Protocol

from evalharness.distributed.limits.budget_server import Granted
from evalharness.distributed.limits.limiter import MESSAGE_EVERY_S
from evalharness.runner.budget import Money, Price

# How often a worker that found too little asks again, and tells what it has spent.
ASK_EVERY_S = 0.1
TELL_EVERY_S = 0.25
# It asks ahead while it has room for fewer requests than this.
_LOW = 8
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

    Use it as an asynchronous context manager: inside, it talks to the purse.

    Args:
        prices: by setting_id; None where no price is known.
        purse: where allowances come from; None where the run has no money limit.

    Attributes:
        on_lost: called with the reason when the purse cannot be reached; nothing more is
            admitted than the allowance holds.
    """

    def __init__(self, prices: Mapping[str, Price | None], purse: AskPurse | None) -> None:
        super().__init__(None if purse is None else _ZERO, prices)
        self._purse = purse
        self._need = _ZERO
        self._too_much: Decimal | None = None  # the least for which there will never be room
        self._ask = asyncio.Event()
        self._talking: asyncio.Task[None] | None = None
        self.on_lost: Callable[[Exception], None] = lambda _: None

    async def __aenter__(self) -> SharedMoney:
        if self._purse is not None:
            self._talking = asyncio.create_task(self._talk(self._purse))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._talking is not None:
            self._talking.cancel()
            await asyncio.gather(self._talking, return_exceptions=True)

    def reserve(self, key: str, worst: Decimal | None, *, model: str) -> bool:
        """Set the worst case of one attempt aside (see :meth:`Money.reserve`).

        False also where the allowance must be raised first, which is asked for.

        Raises:
            BudgetReachedError: there would be no room even if all that is in flight, here and
                elsewhere, were free.
            ConfigError: there is a limit, and no price.
        """
        done = self._guard.reserve(key, worst, model=model)
        if self._purse is None:
            return done
        assert worst is not None
        if not done and self._too_much is not None and worst >= self._too_much:
            raise self._reached_error(worst)
        if not done or self._guard.room < worst * _LOW:
            self._need = max(self._need, worst)
            self._ask.set()
        return done

    async def _talk(self, purse: AskPurse) -> None:
        """Ask when there is too little, else tell now and then; one message at a time."""
        try:
            while True:
                try:
                    await asyncio.wait_for(self._ask.wait(), TELL_EVERY_S)
                except TimeoutError:
                    await self._tell(purse)
                    continue
                self._ask.clear()
                need, self._need = self._need, _ZERO
                granted = await purse.more(need, self._guard.gone, self._guard.room)
                self._guard.limit = granted.allowance
                if granted.reached:
                    self._too_much = need if self._too_much is None else min(need, self._too_much)
                self._freed()
                short = self._guard.room < need
                if short:  # what is too little here may be enough with what others hold
                    await self._tell(purse)
                await asyncio.sleep(ASK_EVERY_S if short else MESSAGE_EVERY_S)
                if short:  # elsewhere requests may have ended: ask again
                    self._freed()
        except Exception as error:
            self.on_lost(error)

    async def _tell(self, purse: AskPurse) -> None:
        # What is given back must not be reserved meanwhile: it leaves the limit first.
        wanted = await purse.told(self._guard.gone, self._guard.room)
        room = self._guard.room
        if wanted and room > 0:
            assert self._guard.limit is not None
            self._guard.limit -= room
            self._guard.limit = await purse.give_back(room)
