"""One money limit for many workers: each holds an allowance, and their sum stays within the limit.

A worker guards its own allowance as a single process guards ``limits.max_cost_usd``: the worst
case of everything in flight is set aside first. What an allowance holds can be spent without
asking; so the limit holds even while the coordinator is away.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

_ZERO = Decimal(0)
# An allowance is enough for this many requests like the one that asks, as long as there is plenty.
_AHEAD = 16


class Granted(NamedTuple):
    """An answer to a worker that needs money.

    Attributes:
        allowance: what it may have spent and set aside in all, in US dollars; more than before,
            or the same.
        reached: there would be no room even if everything in flight everywhere were free.
    """

    allowance: Decimal
    reached: bool


@dataclass
class _Account:
    allowance: Decimal = _ZERO
    gone: Decimal = _ZERO  # spent, or in doubt at its worst case
    unused: Decimal = _ZERO  # neither gone nor set aside for a request in flight
    short: Decimal = _ZERO  # needed, when there was too little for it; 0 since it got that


class Purse:
    """Allowances of all workers.

    Args:
        limit: ``limits.max_cost_usd``.
        gone: spent by earlier sessions of the run, what is in doubt at its worst case included.
    """

    def __init__(self, limit: Decimal, *, gone: Decimal = _ZERO) -> None:
        self._limit = limit
        self._gone = gone
        self._accounts: dict[str, _Account] = {}
        self._lost: dict[str, Decimal] = {}  # what dead workers count for until they are settled

    @property
    def free(self) -> Decimal:
        """What no allowance holds and nobody has spent."""
        return self._limit - self._gone - sum((a.allowance for a in self._accounts.values()), _ZERO)

    @property
    def gone(self) -> Decimal:
        """Spent or in doubt so far, as far as workers have told."""
        return self._gone + sum((a.gone for a in self._accounts.values()), _ZERO)

    def told(self, worker: str, *, gone: Decimal, unused: Decimal) -> None:
        """A worker tells what became of its allowance.

        Args:
            worker: its name.
            gone: spent, or in doubt at its worst case; never less than it said before.
            unused: what is neither gone nor set aside for a request in flight.
        """
        account = self._accounts.setdefault(worker, _Account())
        account.gone, account.unused = gone, unused

    def give_back(self, worker: str, amount: Decimal) -> Decimal:
        """A worker lowers its allowance by what it does not use; returns the new allowance."""
        account = self._accounts.setdefault(worker, _Account())
        account.allowance -= amount
        account.unused -= amount
        return account.allowance

    def more(self, worker: str, need: Decimal) -> Granted:
        """Raise a worker's allowance so that ``need`` more fits, if there is as much.

        While there is plenty a worker gets enough for several requests; near the limit just
        what it needs, so that no allowance keeps the last dollars from whoever could use them.
        """
        account = self._accounts.setdefault(worker, _Account())
        missing = max(_ZERO, need - account.unused)
        free = self.free
        if missing > free:
            held = sum((a.allowance - a.gone for a in self._accounts.values()), _ZERO)
            held += sum(self._lost.values(), _ZERO)
            account.short = need
            return Granted(account.allowance, reached=need > free + held)
        account.short = _ZERO
        ahead = min(need * _AHEAD, free / (2 * len(self._accounts)))
        extra = max(missing, ahead)
        account.allowance += extra
        account.unused += extra
        return Granted(account.allowance, reached=False)

    @property
    def wanted_back(self) -> bool:
        """Whether somebody found too little, or soon may: allowances hold more than is left."""
        accounts = self._accounts.values()
        if any(a.short > a.unused for a in accounts):
            return True
        return sum((a.unused for a in accounts), _ZERO) > self.free

    def lost(self, worker: str) -> None:
        """A worker is dead: all that it was allowed counts as gone.

        It may have spent that much without having told. :meth:`settled` gives back the rest.
        """
        account = self._accounts.pop(worker, None)
        if account is not None:
            self._lost[worker] = max(account.allowance, account.gone)
            self._gone += self._lost[worker]

    def settled(self, worker: str, spent: Decimal) -> None:
        """What a dead worker spent is known, with what is in doubt: the rest is free again."""
        counted = self._lost.pop(worker, _ZERO)
        self._gone -= max(_ZERO, counted - spent)
