"""The Pareto frontier of settings by cost, score and agreement: those that no other beats.

A setting is *beaten* when another is at least as good in everything and better in something. What
is left is the frontier (the Pareto set). Point estimates decide: two settings whose intervals
overlap may both be on the frontier; ``compare`` tests whether they differ.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from evalharness.analysis.cost.cost_tables import SettingMoney
from evalharness.analysis.summary import SettingSummary

_BETTER = {"cost_usd": -1, "score": 1, "agreement": 1}  # sign: which way is better


class FrontierPoint(msgspec.Struct, frozen=True, kw_only=True):
    """A setting that was weighed against the others.

    Attributes:
        setting_id: of the setting.
        label: its name.
        figures: ``cost_usd``, the mean US dollars of a request, ``score`` and ``agreement``; null
            where unknown.
        beaten_by: labels of the settings that beat it.
    """

    setting_id: str
    label: str
    figures: dict[str, float | None]
    beaten_by: list[str]


class Frontier(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that no other beats.

    Attributes:
        by: the figures compared, those that every setting of known cost has.
        settings: those of known cost.
        unbeaten: labels of the settings that no other beats.
        left_out: labels of the settings without a known cost.
    """

    by: list[str]
    settings: list[FrontierPoint]
    unbeaten: list[str]
    left_out: list[str]


def frontier(settings: Sequence[SettingSummary], money: Sequence[SettingMoney]) -> Frontier | None:
    """Find the settings that no other beats.

    Args:
        settings: the settings of a report.
        money: of the same settings, in the same order.

    Returns:
        None when fewer than two settings, or fewer than two figures, can be weighed.
    """
    pairs = list(zip(settings, money, strict=True))
    weighed = [(row, _figures(row, spent)) for row, spent in pairs if spent.mean_usd is not None]
    by = {
        name: sign
        for name, sign in _BETTER.items()
        if all(figures[name] is not None for _, figures in weighed)
    }
    if len(weighed) < 2 or len(by) < 2:
        return None
    gains = [[(figures[name] or 0.0) * sign for name, sign in by.items()] for _, figures in weighed]
    points = [
        FrontierPoint(
            setting_id=row.setting_id,
            label=row.label,
            figures=figures,
            beaten_by=[
                other.label
                for (other, _), theirs in zip(weighed, gains, strict=True)
                if _beats(theirs, own)
            ],
        )
        for (row, figures), own in zip(weighed, gains, strict=True)
    ]
    return Frontier(
        by=list(by),
        settings=points,
        unbeaten=[point.label for point in points if not point.beaten_by],
        left_out=[row.label for row, spent in pairs if spent.mean_usd is None],
    )


def _figures(row: SettingSummary, spent: SettingMoney) -> dict[str, float | None]:
    answer = row.agreement.answer.pairwise
    return {
        "cost_usd": spent.mean_usd,
        "score": row.score.mean,
        # Of the parsed answers where there are any, else of the texts.
        "agreement": row.agreement.raw.pairwise if answer is None else answer,
    }


def _beats(a: Sequence[float], b: Sequence[float]) -> bool:
    """Whether ``a`` is nowhere below ``b`` and somewhere above it."""
    return all(x >= y for x, y in zip(a, b, strict=True)) and any(
        x > y for x, y in zip(a, b, strict=True)
    )
