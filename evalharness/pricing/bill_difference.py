"""Why a bill differs from the computed cost: the likely reason, in words."""

from __future__ import annotations

import numpy as np

from evalharness.pricing.usage_columns import Bools, Floats

#: Said where no explanation holds.
UNEXPLAINED = "no single price explains it"
_ROUNDING_USD = 1e-6  # bills are often given to the millionth of a dollar
_SAME = 1e-3  # ratios this close are one ratio


def likely_reason(computed: Floats, billed: Floats, special: Bools) -> str | None:
    """The likely reason of a difference between bill and computation; None without a difference.

    Args:
        computed: exact costs in US dollars, one a record.
        billed: what the provider says it billed for the same records.
        special: records with cached or reasoning tokens, whose prices differ most between tables.
    """
    gap = billed - computed
    if not gap.size or not np.any(gap):
        return None
    if np.all(np.abs(gap) <= _ROUNDING_USD):
        # Also small requests at a wrong price differ this little: then all err in proportion.
        ratio = _one_ratio(computed, billed)
        if ratio is None or abs(ratio - 1) <= _SAME:
            return "the billed amounts are rounded"
    if not np.any(billed):
        return "nothing was billed: a free quota, or a bill that comes later"
    if not np.any(computed):
        return "the table's price is zero, and the provider bills for it"
    ratio = _one_ratio(computed, billed)
    if ratio is not None:
        return f"the bill is {ratio:.4g} times the table's price throughout: another price applies"
    plain = ~special
    if np.any(special) and np.any(plain) and np.allclose(gap[plain], 0, atol=_ROUNDING_USD):
        return "only records with cached or reasoning tokens differ: those have another price"
    return UNEXPLAINED


def _one_ratio(computed: Floats, billed: Floats) -> float | None:
    """Billed over computed, where it is the same for all records."""
    if np.any(computed <= 0):
        return None
    ratios = billed / computed
    low, high = float(ratios.min()), float(ratios.max())
    return (low + high) / 2 if low > 0 and high - low <= _SAME * high else None
