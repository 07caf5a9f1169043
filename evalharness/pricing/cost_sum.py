"""The cost of some records added up: whole pico-dollars, and what is not known."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from evalharness.pricing.price import to_usd


class CostSum(msgspec.Struct, frozen=True, kw_only=True):
    """The cost of some records. Dollars are exact; None means that no record has a figure.

    Attributes:
        known: records whose cost is exact; ``pico`` is their sum in pico-dollars, 0 without any.
        from_bill: those of the known that have no price, whose cost is the provider's bill.
        unknown_reasons: how many other records there are, by the reason why their cost is unknown
            (:data:`~.cost_formula.REASONS`); reasons of no record are absent.
        estimated: records of unknown cost for which there is an estimate (a price, but incomplete
            usage); ``estimate_pico`` is the sum of the estimates, in no total.
    """

    known: int = 0
    pico: int = 0
    from_bill: int = 0
    unknown_reasons: dict[str, int] = {}
    estimated: int = 0
    estimate_pico: int = 0

    @property
    def unknown(self) -> int:
        """Records whose cost is not known exactly, those with an estimate included."""
        return sum(self.unknown_reasons.values())

    @property
    def total_usd(self) -> Decimal | None:
        """The sum of the known costs."""
        return to_usd(self.pico) if self.known else None

    @property
    def estimate_usd(self) -> Decimal | None:
        """The sum of the estimates."""
        return to_usd(self.estimate_pico) if self.estimated else None

    @property
    def mean_usd(self) -> float | None:
        """The mean of the known costs."""
        return float(to_usd(self.pico) / self.known) if self.known else None

    @property
    def per_1k_usd(self) -> float | None:
        """What 1,000 requests cost at that mean."""
        return float(1000 * to_usd(self.pico) / self.known) if self.known else None
