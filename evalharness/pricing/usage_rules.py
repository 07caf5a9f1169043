"""Which counts of a usage include which: what is billed where the parts do not add up to the total.

By the documented form of a chat completion ``total = prompt + completion``: prompt tokens include
those of the cache, completion tokens those of reasoning. Some providers count one of these apart,
and their own total says so. A rule of the provider's profile (``usage_rule``) says how to read such
a usage; where it does not make the parts the total, or where there is no rule, the usage
contradicts itself. What adds up as documented is never changed. Without a total, the rule alone
decides.

As in :mod:`~.cost_formula`, numbers are those of one request or arrays with one entry a request.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from evalharness.config.models import UsageRule
from evalharness.pricing.cost_formula import TokenKinds


class BilledCounts(NamedTuple):
    """Counts in the documented form.

    Attributes:
        counts: what is billed; as reported where the usage contradicts itself.
        contradicts: whether the parts do not add up to the total under any reading that holds.
        by_rule: whether the rule changed a count.
    """

    counts: TokenKinds[Any]
    contradicts: Any
    by_rule: Any


def billed_counts(
    counts: TokenKinds[Any], total: Any, has_total: Any, rule: UsageRule | None
) -> BilledCounts:
    """What is billed of a usage.

    Args:
        counts: as reported, 0 where not reported.
        total: ``total_tokens``, 0 where not reported.
        has_total: whether it was reported.
        rule: of the provider's profile.
    """
    plain = counts.prompt + counts.completion
    differs = has_total & (total != plain)
    if rule is None:
        return BilledCounts(counts, differs, has_total & False)
    prompt_more, completion_more = _outside(counts, total, differs, rule)
    # A bool counts as 0 or 1 in a product, of arrays too.
    holds = (has_total ^ True) | (differs & (total == plain + prompt_more + completion_more))
    changed = holds & ((prompt_more > 0) | (completion_more > 0))
    billed = counts._replace(
        prompt=counts.prompt + changed * prompt_more,
        completion=counts.completion + changed * completion_more,
    )
    return BilledCounts(billed, differs & (holds ^ True), changed)


def _outside(counts: TokenKinds[Any], total: Any, differs: Any, rule: UsageRule) -> tuple[Any, Any]:
    """The tokens that by a rule are outside of the prompt tokens, and of the completion tokens."""
    cache, none = counts.cached + counts.cache_write, 0 * counts.prompt
    if rule == "cache_outside":
        return cache, none
    if rule == "reasoning_outside":
        return none, counts.reasoning
    if rule == "reasoning_and_cache_outside":
        return cache, counts.reasoning
    rest = total - counts.prompt - counts.completion
    return none, differs * (rest > 0) * rest


def highest_readings(counts: TokenKinds[int], total: int) -> list[tuple[int, int]]:
    """Prompt and completion tokens under each reading of a usage that contradicts itself."""
    cache = counts.cached + counts.cache_write
    return [
        (counts.prompt + cache, counts.completion + counts.reasoning),
        (counts.prompt, max(counts.completion + counts.reasoning, total - counts.prompt)),
        (max(counts.prompt, total - counts.completion), counts.completion),
    ]
