"""The money limit: the worst case of everything in flight is set aside before it is sent."""

from __future__ import annotations

from collections.abc import Hashable
from decimal import Context, Decimal, Inexact

from evalharness.errors import ConfigError

_ZERO = Decimal(0)
# Sums of prices are exact here; a value that would need rounding raises instead.
_EXACT = Context(prec=100, traps=[Inexact])


class SpendGuard:
    """Keeps ``spent + in_doubt + reserved`` at or below ``limit`` at every moment.

    All amounts are exact US dollars. The promise is as good as the worst cases: a bill above its
    worst case is counted in full, and ends the room for further requests, but it cannot be undone.

    Args:
        max_cost_usd: the limit; None keeps the books without limiting anything.
        spent: what earlier sessions of the run spent.
        in_doubt: worst cases of earlier attempts whose charge is unknown.

    Attributes:
        limit: ``max_cost_usd``; whoever shares a larger limit changes it (see
            :class:`~evalharness.distributed.limits.budget_server.Purse`).
    """

    def __init__(
        self,
        max_cost_usd: Decimal | None,
        *,
        spent: Decimal = _ZERO,
        in_doubt: Decimal = _ZERO,
    ) -> None:
        self.limit = max_cost_usd
        self._open: dict[Hashable, Decimal | None] = {}
        self._spent = spent
        self._in_doubt = in_doubt
        self._reserved = _ZERO
        self._assumed = 0
        self._unpriced = 0

    @property
    def spent(self) -> Decimal:
        """Charged so far; where the provider did not say, the worst case stands for it."""
        return self._spent

    @property
    def reserved(self) -> Decimal:
        """Worst cases of what is in flight."""
        return self._reserved

    @property
    def in_doubt(self) -> Decimal:
        """Worst cases of attempts that may have been charged."""
        return self._in_doubt

    @property
    def gone(self) -> Decimal:
        """Spent, and in doubt at its worst case."""
        return _EXACT.add(self._spent, self._in_doubt)

    @property
    def room(self) -> Decimal:
        """What of the limit is neither gone nor set aside; 0 without a limit, or above it."""
        if self.limit is None:
            return _ZERO
        return max(_ZERO, _EXACT.subtract(self.limit, self._with(self._reserved, _ZERO)))

    @property
    def assumed(self) -> int:
        """How many settled attempts count with their worst case, their charge being unknown."""
        return self._assumed

    @property
    def unpriced(self) -> int:
        """How many settled or in-doubt attempts count nothing: no charge and no price known."""
        return self._unpriced

    def reserve(self, key: Hashable, worst_case: Decimal | None, *, model: str = "…") -> bool:
        """Set the worst case of one attempt aside; False where the limit leaves no room for it now.

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
            if self.limit is not None:
                raise _no_price(model)
        else:
            if not worst_case.is_finite() or worst_case < 0:
                raise ValueError(f"a worst case must be finite and at least 0, got {worst_case}")
            if self.limit is not None and self._with(self._reserved, worst_case) > self.limit:
                return False
            self._reserved = _EXACT.add(self._reserved, worst_case)
        self._open[key] = worst_case
        return True

    def exhausted(self, worst_case: Decimal) -> bool:
        """Whether there is no room for ``worst_case`` even if all that is in flight were free."""
        return self.limit is not None and self._with(_ZERO, worst_case) > self.limit

    def settle(self, key: Hashable, actual: Decimal | None) -> None:
        """Replace a reservation by the charge. Unknown (None, negative, not finite): it stays.

        An attempt that cannot have been charged settles at 0.

        Raises:
            KeyError: nothing is reserved under ``key``.
        """
        worst_case = self._release(key)
        if actual is None or not actual.is_finite() or actual < 0:
            actual = worst_case
            if worst_case is None:
                self._unpriced += 1
            else:
                self._assumed += 1
        if actual is not None:
            self._spent = _EXACT.add(self._spent, actual)

    def keep_in_doubt(self, key: Hashable) -> None:
        """The attempt may have been charged: its worst case counts for the rest of the run.

        Raises:
            KeyError: nothing is reserved under ``key``.
        """
        worst_case = self._release(key)
        if worst_case is None:
            self._unpriced += 1
        else:
            self._in_doubt = _EXACT.add(self._in_doubt, worst_case)

    def _release(self, key: Hashable) -> Decimal | None:
        worst_case = self._open.pop(key)
        if worst_case is not None:
            self._reserved = _EXACT.subtract(self._reserved, worst_case)
        return worst_case

    def _with(self, reserved: Decimal, more: Decimal) -> Decimal:
        fixed = _EXACT.add(self._spent, self._in_doubt)
        return _EXACT.add(fixed, _EXACT.add(reserved, more))


def _no_price(model: str) -> ConfigError:
    return ConfigError(
        f"limits.max_cost_usd is set, but no price is known for model `{model}`",
        hint=(
            "add to `prices:` in your price file: "
            f"- {{model: {model}, price_usd_per_mtok: {{prompt: …, completion: …}}}}, "
            "or set limits.max_cost_usd=null"
        ),
    )
