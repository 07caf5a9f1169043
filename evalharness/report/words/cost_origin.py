"""Whether a cost is what the price table says or what the provider billed."""

from __future__ import annotations

from collections.abc import Iterable

#: The mark of a cost that is the provider's bill, because no price is known.
BILLED = "billed"
_PARTLY = "partly billed"


def cost_mark(from_bill: int, known: int) -> str:
    """The mark of a cost; empty where it follows from prices alone.

    Args:
        from_bill: records whose cost is the bill.
        known: records with a known cost, these among them.
    """
    if not from_bill:
        return ""
    return BILLED if from_bill == known else _PARTLY


def mark_of_all(parts: Iterable[tuple[int, int]]) -> str:
    """The mark of several costs together, each given as for :func:`cost_mark`."""
    pairs = list(parts)
    return cost_mark(sum(bill for bill, _ in pairs), sum(known for _, known in pairs))


def with_mark(text: str, mark: str) -> str:
    """``$0.12 billed``: a cost with its mark."""
    return f"{text} {mark}" if mark else text
