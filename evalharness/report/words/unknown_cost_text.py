"""Why the cost of trials is unknown, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from evalharness.pricing.cost_formula import COUNT_MISSING, NO_PRICE, USAGE_CONTRADICTS
from evalharness.process.text import plural

_WORDS = {
    NO_PRICE: "no price",
    COUNT_MISSING: "a count that the price needs is missing",
    USAGE_CONTRADICTS: "usage contradicts itself",
}


def add_reasons(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Trials of unknown cost by reason, of several settings together."""
    total: Counter[str] = Counter()
    for reasons in parts:
        total.update(reasons)
    return dict(total)


def unknown_reasons_text(reasons: Mapping[str, int]) -> str:
    """The reasons, with their trials where there are several: ``no price``.

    Args:
        reasons: trials of unknown cost by reason, an ``unknown_reasons`` of ``report --json``.
    """
    known = {text: reasons[reason] for reason, text in _WORDS.items() if reasons.get(reason)}
    if len(known) == 1:
        return next(iter(known))
    return ", ".join(f"{text}: {n:,}" for text, n in known.items())


def unknown_cost_text(reasons: Mapping[str, int]) -> str:
    """How many trials have an unknown cost, and why: ``cost unknown for 3 (no price)``."""
    return f"cost unknown for {sum(reasons.values()):,} ({unknown_reasons_text(reasons)})"


def usage_contradicts_text(answers: int) -> str:
    """What is wrong with usage that contradicts itself, and what settles it.

    Args:
        answers: trials whose cost is unknown for this reason.
    """
    return (
        f"usage of {plural(answers, 'answer')} contradicts itself: the counts do not add up to "
        "the total, or a part is more than its whole; if this provider counts reasoning or cached "
        "tokens apart, +provider.profile.usage_rule=… says so (docs/cost.md)"
    )
