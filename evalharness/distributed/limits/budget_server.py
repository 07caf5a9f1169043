"""The budget server: one cost limit for many workers.

Each worker has an allowance, and the sum of all allowances stays within the limit. A worker guards
its allowance as a single process guards ``limits.max_cost_usd``: the worst case of everything in
flight is reserved first. A worker may spend its allowance without asking again, so the limit holds
even while the coordinator cannot be reached.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

_ZERO = Decimal(0)
# While there is plenty, an allowance is raised by enough for this many requests.
_REQUESTS_AHEAD = 16


class Allowance(NamedTuple):
    """The answer to a worker that asks for more budget.

    Attributes:
        limit_usd: what the worker may have spent and reserved in all; never less than before.
        exhausted: whether there would be no room even if everything in flight were free of charge.
    """

    limit_usd: Decimal
    exhausted: bool


@dataclass
class _Account:
    limit_usd: Decimal = _ZERO
    committed_usd: Decimal = _ZERO  # spent, or in doubt at its worst case
    available_usd: Decimal = _ZERO  # neither committed nor reserved for a request in flight
    unmet_usd: Decimal = _ZERO  # asked for in vain; 0 once it was granted


class BudgetServer:
    """Allowances of all workers.

    Args:
        limit: ``limits.max_cost_usd``.
        committed_usd: spent by earlier sessions, or in doubt since then at its worst case.
    """

    def __init__(self, limit: Decimal, *, committed_usd: Decimal = _ZERO) -> None:
        self._limit = limit
        self._committed = committed_usd
        self._accounts: dict[str, _Account] = {}
        self._lost: dict[str, Decimal] = {}  # what dead workers count for until they are settled

    @property
    def unallocated_usd(self) -> Decimal:
        """What belongs to no allowance and is not committed."""
        allowances = sum((a.limit_usd for a in self._accounts.values()), _ZERO)
        return self._limit - self._committed - allowances

    def report(self, worker: str, *, committed_usd: Decimal, available_usd: Decimal) -> None:
        """A worker reports how it has used its allowance.

        Args:
            worker: its name.
            committed_usd: spent, or in doubt at its worst case; never less than it said before.
            available_usd: neither committed nor reserved for a request in flight.
        """
        account = self._accounts.setdefault(worker, _Account())
        account.committed_usd, account.available_usd = committed_usd, available_usd

    def release(self, worker: str, amount: Decimal) -> Decimal:
        """Lower a worker's allowance by what it does not use; returns the new allowance."""
        account = self._accounts.setdefault(worker, _Account())
        account.limit_usd -= amount
        account.available_usd -= amount
        return account.limit_usd

    def request(self, worker: str, need: Decimal) -> Allowance:
        """Raise a worker's allowance so that ``need`` more fits, if there is as much.

        While there is plenty, a worker gets enough for several requests. Near the limit it gets
        just what it needs, so that no allowance holds back what another worker could use.
        """
        account = self._accounts.setdefault(worker, _Account())
        missing = max(_ZERO, need - account.available_usd)
        unallocated = self.unallocated_usd
        if missing > unallocated:
            held = sum((a.limit_usd - a.committed_usd for a in self._accounts.values()), _ZERO)
            held += sum(self._lost.values(), _ZERO)
            account.unmet_usd = need
            return Allowance(account.limit_usd, exhausted=need > unallocated + held)
        account.unmet_usd = _ZERO
        ahead = min(need * _REQUESTS_AHEAD, unallocated / (2 * len(self._accounts)))
        extra = max(missing, ahead)
        account.limit_usd += extra
        account.available_usd += extra
        return Allowance(account.limit_usd, exhausted=False)

    @property
    def wants_release(self) -> bool:
        """Whether workers should return what they do not use.

        True when a worker has asked in vain, or soon may: allowances hold more than is unallocated.
        """
        accounts = self._accounts.values()
        if any(a.unmet_usd > a.available_usd for a in accounts):
            return True
        return sum((a.available_usd for a in accounts), _ZERO) > self.unallocated_usd

    def write_off(self, worker: str) -> None:
        """A worker is dead: its whole allowance counts as committed.

        It may have spent that much without a report. :meth:`settle` returns the rest.
        """
        account = self._accounts.pop(worker, None)
        if account is not None:
            self._lost[worker] = max(account.limit_usd, account.committed_usd)
            self._committed += self._lost[worker]

    def settle(self, worker: str, committed_usd: Decimal) -> None:
        """What a dead worker spent or left in doubt is known: the rest is free again."""
        charged = self._lost.pop(worker, _ZERO)
        self._committed -= max(_ZERO, charged - committed_usd)
