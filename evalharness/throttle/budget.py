"""The budget: the worst case of every request is reserved before it is sent."""

from __future__ import annotations

from collections.abc import Hashable
from decimal import Context, Decimal, Inexact

from evalharness.errors import ConfigError

_ZERO = Decimal(0)
# Sums of prices are exact here; a value that would need rounding raises instead.
_EXACT = Context(prec=100, traps=[Inexact])


class Budget:
    """Keeps ``spent_usd + in_doubt_usd + reserved_usd`` at or below ``limit_usd`` at every moment.

    All amounts are exact US dollars. The promise is as good as the worst cases: a bill above its
    worst case is counted in full, and leaves less for further requests, but it cannot be undone.

    Args:
        max_cost_usd: the limit; None counts without limiting anything.
        spent_usd: what earlier sessions of the run spent.
        in_doubt_usd: worst cases of earlier attempts whose charge is unknown.

    Attributes:
        limit_usd: ``max_cost_usd``; whoever shares a larger limit changes it (see
            :class:`~evalharness.distributed.limits.budget_server.BudgetServer`).
    """

    def __init__(
        self,
        max_cost_usd: Decimal | None,
        *,
        spent_usd: Decimal = _ZERO,
        in_doubt_usd: Decimal = _ZERO,
    ) -> None:
        self.limit_usd = max_cost_usd
        self._open: dict[Hashable, Decimal | None] = {}
        self._spent = spent_usd
        self._in_doubt = in_doubt_usd
        self._reserved = _ZERO

    def add(self, *, spent_usd: Decimal, in_doubt_usd: Decimal) -> None:
        """Count what earlier sessions spent, and left in doubt."""
        self._spent = _EXACT.add(self._spent, spent_usd)
        self._in_doubt = _EXACT.add(self._in_doubt, in_doubt_usd)

    @property
    def spent_usd(self) -> Decimal:
        """Charged so far; where the provider did not say, the worst case stands for it."""
        return self._spent

    @property
    def reserved_usd(self) -> Decimal:
        """Worst cases of what is in flight."""
        return self._reserved

    @property
    def in_doubt_usd(self) -> Decimal:
        """Worst cases of attempts that may have been charged."""
        return self._in_doubt

    @property
    def committed_usd(self) -> Decimal:
        """Spent, and in doubt at its worst case."""
        return _EXACT.add(self._spent, self._in_doubt)

    @property
    def available_usd(self) -> Decimal:
        """What of the limit is neither committed nor reserved; 0 without a limit, or above it."""
        if self.limit_usd is None:
            return _ZERO
        return max(_ZERO, _EXACT.subtract(self.limit_usd, self._total(self._reserved, _ZERO)))

    def reserve(self, key: Hashable, worst_case: Decimal | None, *, model: str = "…") -> bool:
        """Reserve the worst case of one attempt; False where the limit leaves no room for it now.

        Args:
            key: names the attempt; free again once settled.
            worst_case: US dollars, at least 0; None is unknown.
            model: named in the error below.

        Raises:
            ConfigError: there is a limit, but no price to hold against it.
            ValueError: the key is in use, or the amount is negative or not finite.
        """
        if key in self._open:
            raise ValueError(f"{key!r} is reserved already")
        if worst_case is None:
            if self.limit_usd is not None:
                raise _no_price(model)
        else:
            if not worst_case.is_finite() or worst_case < 0:
                raise ValueError(f"a worst case must be finite and at least 0, got {worst_case}")
            if (
                self.limit_usd is not None
                and self._total(self._reserved, worst_case) > self.limit_usd
            ):
                return False
            self._reserved = _EXACT.add(self._reserved, worst_case)
        self._open[key] = worst_case
        return True

    def hold(self, key: Hashable, worst_case: Decimal | None) -> None:
        """Reserve without asking: an earlier session has sent it."""
        if worst_case is not None:
            self._reserved = _EXACT.add(self._reserved, worst_case)
        self._open[key] = worst_case

    def is_exhausted(self, worst_case: Decimal) -> bool:
        """Whether there is no room for ``worst_case`` even if all that is in flight were free."""
        return self.limit_usd is not None and self._total(_ZERO, worst_case) > self.limit_usd

    def settle(self, key: Hashable, actual: Decimal | None) -> None:
        """Replace a reservation by the charge. Unknown (None, negative, not finite): it stays.

        An attempt that cannot have been charged settles at 0.

        Raises:
            KeyError: nothing is reserved under ``key``.
        """
        worst_case = self._release(key)
        if actual is None or not actual.is_finite() or actual < 0:
            actual = worst_case
        if actual is not None:
            self._spent = _EXACT.add(self._spent, actual)

    def settle_in_doubt(self, key: Hashable) -> None:
        """The attempt may have been charged: its worst case counts for the rest of the run.

        Raises:
            KeyError: nothing is reserved under ``key``.
        """
        worst_case = self._release(key)
        if worst_case is not None:
            self._in_doubt = _EXACT.add(self._in_doubt, worst_case)

    def _release(self, key: Hashable) -> Decimal | None:
        worst_case = self._open.pop(key)
        if worst_case is not None:
            self._reserved = _EXACT.subtract(self._reserved, worst_case)
        return worst_case

    def _total(self, reserved: Decimal, worst_case: Decimal) -> Decimal:
        committed = _EXACT.add(self._spent, self._in_doubt)
        return _EXACT.add(committed, _EXACT.add(reserved, worst_case))


def _no_price(model: str) -> ConfigError:
    return ConfigError(
        f"limits.max_cost_usd is set, but no price is known for model `{model}`",
        hint=(
            "add to `prices:` in your price file: "
            f"- {{model: {model}, price_usd_per_mtok: {{prompt: …, completion: …}}}}, "
            "or set limits.max_cost_usd=null"
        ),
    )
