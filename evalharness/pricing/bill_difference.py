"""The likely reason why a bill differs from the computed cost, in words."""

from __future__ import annotations

import numpy as np

from evalharness.pricing.usage_columns import Bools, Floats

#: The text where no explanation holds.
REASON_UNKNOWN = "no single price explains it"
_ROUNDING_USD = 1e-6  # bills are often given to the millionth of a dollar
_RATIO_TOLERANCE = 1e-3  # ratios that differ by less are the same


def likely_reason(computed: Floats, billed: Floats, has_details: Bools) -> str | None:
    """The likely reason of a difference between bill and computation; None without a difference.

    Args:
        computed: exact costs in US dollars, one a record.
        billed: what the provider says it billed for the same records.
        has_details: records with cached or reasoning tokens: their prices differ most between
            tables.
    """
    gap = billed - computed
    if not gap.size or not np.any(gap):
        return None
    if np.all(np.abs(gap) <= _ROUNDING_USD):
        # Also small requests at a wrong price differ this little: then all err in proportion.
        ratio = _common_ratio(computed, billed)
        if ratio is None or abs(ratio - 1) <= _RATIO_TOLERANCE:
            return "the billed amounts are rounded"
    if not np.any(billed):
        return "nothing was billed: a free quota, or a bill that comes later"
    if not np.any(computed):
        return "the table's price is zero, and the provider bills for it"
    ratio = _common_ratio(computed, billed)
    if ratio is not None:
        return f"the bill is {ratio:.4g} times the table's price throughout: another price applies"
    plain = ~has_details
    if np.any(has_details) and np.any(plain) and np.allclose(gap[plain], 0, atol=_ROUNDING_USD):
        return "only records with cached or reasoning tokens differ: those have another price"
    return REASON_UNKNOWN


def _common_ratio(computed: Floats, billed: Floats) -> float | None:
    """Billed over computed, where it is the same for all records."""
    if np.any(computed <= 0):
        return None
    ratios = billed / computed
    low, high = float(ratios.min()), float(ratios.max())
    return (low + high) / 2 if low > 0 and high - low <= _RATIO_TOLERANCE * high else None
