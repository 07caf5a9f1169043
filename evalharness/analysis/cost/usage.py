"""Token usage and cost in dollars by setting.

Sums are over the records whose value is known, and ``n`` is their number: where it is below the
number of records, the sum is a lower bound. Null when no value is known.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec
import numpy as np

from evalharness.analysis.data.encode import Floats
from evalharness.analysis.data.frame import RunFrame
from evalharness.pricing.cost_columns import SettingCost

TOKENS = ("prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens")


class TokenCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of one kind as the provider reported them.

    Attributes:
        total: of the records that have a count, a lower bound where some have none; null when no
            record has one.
        mean: tokens a record with a count; null when no record has one.
        n: records with a count.
    """

    total: int | None
    mean: float | None
    n: int


class SettingDollars(msgspec.Struct, frozen=True, kw_only=True):
    """Cost of a setting in US dollars.

    Attributes:
        total: US dollars of the trials with a known cost; null when none has one.
        per_1k_requests: 1,000 times the mean cost of a trial in US dollars; null when none is
            known.
        billed_total: US dollars the provider says it billed; null when it says nothing.
        from_bill: trials without a price whose cost is the provider's bill; they are among ``n``.
        by_usage_rule: trials whose usage does not add up to its total as documented and was priced
            by the ``usage_rule`` of the provider's profile; they are among ``n``.
        n: trials with a known cost.
        billed_n: trials the provider gave a bill for.
        unknown: trials without a known cost; the total is complete where this is 0.
        unknown_reasons: how many of the unknown there are by reason
            (``no_price``, ``count_missing`` or ``usage_contradicts``: docs/cost.md).
        billed_unknown: trials without a bill.
    """

    total: Decimal | None
    per_1k_requests: float | None
    billed_total: Decimal | None
    from_bill: int
    by_usage_rule: int
    n: int
    billed_n: int
    unknown: int
    unknown_reasons: dict[str, int]
    billed_unknown: int


def token_usage(frame: RunFrame) -> list[dict[str, TokenCounts]]:
    """Token counts of each setting by their kind (:data:`TOKENS`)."""
    rows: list[dict[str, TokenCounts]] = [{} for _ in frame.setting_ids]
    for name in TOKENS:  # one column at a time, since each is a number a record
        values = frame.values(name)
        for s, row in enumerate(rows):
            row[name] = _token_sums(values[frame.rows_of(s)])
    return rows


def _token_sums(values: Floats) -> TokenCounts:
    known = values[~np.isnan(values)]
    if not len(known):
        return TokenCounts(total=None, mean=None, n=0)
    return TokenCounts(total=int(known.sum()), mean=float(known.mean()), n=len(known))


def cost_usd(cost: SettingCost) -> SettingDollars:
    """What a setting cost in US dollars."""
    return SettingDollars(
        total=cost.total_usd,
        per_1k_requests=cost.per_1k_usd,
        billed_total=cost.billed_total_usd,
        from_bill=cost.from_bill,
        by_usage_rule=cost.by_rule,
        n=cost.known,
        billed_n=cost.billed_rows,
        unknown=cost.unknown,
        unknown_reasons=cost.unknown_reasons,
        billed_unknown=cost.billed_unknown,
    )
