"""Sentences on comparisons: which differences were detected, and which were not."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from evalharness.analysis.comparison.comparison import SIGNIFICANCE_LEVEL, Comparison
from evalharness.analysis.comparison.comparison_text import (
    difference_text,
    place_text,
    sides_text,
    stratum_text,
)
from evalharness.analysis.comparison.trend import Trend
from evalharness.report.sections.comparisons.words import (
    REPORT,
    change_text,
    interval_text,
    metric_rank,
    prompts_text,
    side_noun,
    size_text,
    slope_texts,
)
from evalharness.report.words.format_numbers import (
    metric_difference,
    metric_size,
    p_value,
    parameter_text,
)

_MAX_SENTENCES_PER_AXIS = 3  # values of an axis that get a sentence each; more share one
_Strata = dict[tuple[str, ...], list[Comparison]]


class Difference(msgspec.Struct, frozen=True):
    """One sentence on a comparison, or on all of one axis; ``rows`` are those of the JSON."""

    text: str
    rows: list[Comparison]


def split_differences(
    comparisons: Sequence[Comparison],
) -> tuple[list[Difference], list[Difference]]:
    """Split the comparisons a reader needs into detected differences and undetected ones.

    Many values of one axis share a sentence that gives the range and the largest difference.
    Where an axis was pooled over the others, only its pooled rows are used. Rows without
    information (no prompt on both sides, or 0 against 0 everywhere) are in neither list.
    """
    pooled = {(row.metric, row.by) for row in comparisons if row.pooled}
    rows = [
        row
        for row in comparisons
        if row.n and (row.pooled or (row.metric, row.by) not in pooled) and _is_informative(row)
    ]
    rows.sort(key=metric_rank)
    strata = _strata_by_sides(comparisons)
    detected = [row for row in rows if row.is_detected]
    undetected = [row for row in rows if not row.is_detected]
    return _sentences(detected, strata), _sentences(undetected, strata)


def slope_sentences(trends: Sequence[Trend]) -> list[str]:
    """The trends along ordered axes that were detected, a sentence each."""
    detected = [row for row in trends if row.is_detected]
    return [_slope_sentence(row) for row in sorted(detected, key=metric_rank)]


def _slope_sentence(row: Trend) -> str:
    slope = row.slope or 0.0
    _, ends = slope_texts(row)
    words = change_text(row.metric, slope, metric_size(row.metric, slope, row.largest_figure))
    return f"Per unit of {row.by}{place_text(row, REPORT)}: {words} {ends}"


def _is_informative(row: Comparison) -> bool:
    """Whether a row is worth a sentence: not where all lengths or costs are equal."""
    return not (row.metric in ("cost_usd", "completion_tokens") and row.all_tied)


def _strata_by_sides(comparisons: Sequence[Comparison]) -> _Strata:
    """The comparisons within strata that a pooled one is the mean of, by :func:`_sides_key`."""
    strata: _Strata = {}
    for row in comparisons:
        if not row.pooled and row.n:
            strata.setdefault(_sides_key(row), []).append(row)
    return strata


def _sides_key(row: Comparison) -> tuple[str, ...]:
    return row.metric, row.by, str(row.a_value), str(row.b_value)


def _sentences(rows: Sequence[Comparison], strata: _Strata) -> list[Difference]:
    """One sentence for each row; a shared one where many values of an axis differ alike."""
    groups: dict[tuple[str, str, bool | None, str, bool], list[Comparison]] = {}
    for row in rows:
        direction = _difference(row) > 0 if row.is_detected else None
        key = (row.metric, row.by, direction, str(row.stratum), row.pooled)
        groups.setdefault(key, []).append(row)
    sentences: list[Difference] = []
    for group in groups.values():
        if len(group) > _MAX_SENTENCES_PER_AXIS:
            sentences.append(Difference(_range_sentence(group), group))
        else:
            sentences += [
                Difference(comparison_sentence(row, strata.get(_sides_key(row), ())), [row])
                for row in group
            ]
    return sentences


def _difference(row: Comparison) -> float:
    return row.difference or 0.0


def _range_sentence(rows: Sequence[Comparison]) -> str:
    """Many values of an axis against the same baseline, in one sentence."""
    largest = max(rows, key=lambda row: abs(_difference(row)))
    smallest = min(rows, key=lambda row: abs(_difference(row)))
    base, where = parameter_text(largest.b_value), parameter_text(largest.a_value)
    sides = f"{largest.by} against {base}{place_text(largest, REPORT)}, at {len(rows)} values"
    ends = interval_text(largest)
    if largest.is_detected:
        low, high = size_text(smallest), size_text(largest)
        words = change_text(largest.metric, _difference(largest), f"{low} to {high}")
        return f"{sides}: {words}; most at {where} {ends}"
    noun = side_noun(largest.metric)
    if all(row.all_tied for row in rows):
        return f"{sides}: {noun} equal for each of {prompts_text(largest)} {ends}"
    size = difference_text(largest, REPORT)
    return f"{sides}: {noun}, at most {size} at {where}{_detection_limit(largest)}"


def comparison_sentence(row: Comparison, strata: Sequence[Comparison] = ()) -> str:
    """One comparison in everyday words.

    Args:
        row: the comparison.
        strata: the comparisons that a pooled one is the mean of. Where they disagree, the mean
            describes none of them, and the sentence gives each.
    """
    sides = f"{sides_text(row, REPORT)}{place_text(row, REPORT)}"
    ends = interval_text(row)
    disagreement = _strata_disagreement(row, strata) if row.pooled else ""
    if disagreement:
        ends = f"on average; {disagreement}" if row.ci95 is None else f"{ends}; {disagreement}"
    if row.all_tied:
        equal = f"{sides}: {side_noun(row.metric)} equal for each of {prompts_text(row)}"
        return equal if row.ci95 is None else f"{equal} {ends}"
    if row.is_detected:
        return f"{sides}: {change_text(row.metric, _difference(row), size_text(row))} {ends}"
    size = metric_difference(row.metric, row.difference, row.largest_figure)
    return f"{sides}: {side_noun(row.metric)} {size} {ends}{_detection_limit(row)}"


def _strata_disagreement(row: Comparison, strata: Sequence[Comparison]) -> str:
    """``not alike: −83.3 pp (seed not sent), 0.0 pp (seed 42)``; empty where strata may agree.

    Strata disagree where the intervals of two of them do not overlap.
    """
    ends = [stratum.ci95 or [_difference(stratum)] * 2 for stratum in strata]
    if not ends or max(low for low, _ in ends) <= min(high for _, high in ends):
        return ""
    ranked = sorted(strata, key=_difference)
    spread = _difference(ranked[-1]) - _difference(ranked[0])
    means = _means_by_axis(strata, list(ranked[0].stratum), spread) or [
        (_difference(stratum), stratum_text(stratum.stratum, REPORT)) for stratum in ranked
    ]
    only_range = len(means) > _MAX_SENTENCES_PER_AXIS
    shown = [min(means), max(means)] if only_range else means
    texts = [
        f"{metric_difference(row.metric, size, row.largest_figure)} ({where})"
        for size, where in shown
    ]
    return f"not alike: {(' to ' if only_range else ', ').join(texts)}"


def _means_by_axis(
    strata: Sequence[Comparison], axes: Sequence[str], spread: float
) -> list[tuple[float, str]]:
    """Mean differences by the values of the axis that explains a disagreement of strata.

    An axis explains it where strata with the same value of it nearly agree; empty if none does.
    """
    for axis in axes:
        groups: dict[str, list[float]] = {}
        for stratum in strata:
            value = parameter_text(stratum.stratum.get(axis))
            groups.setdefault(value, []).append(_difference(stratum))
        if all(max(sizes) - min(sizes) <= 0.1 * spread for sizes in groups.values()):
            return [(sum(d) / len(d), f"{axis} {value}") for value, d in groups.items()]
    return []


def _detection_limit(row: Comparison) -> str:
    """Why an undetected difference may still be there."""
    if row.p is not None and row.p < SIGNIFICANCE_LEVEL:
        tested = f"{row.family} comparisons" if row.p_headline is None else "every line here"
        return f"; {p_value(row.deciding_p)} after allowing for {tested}"
    if row.is_underpowered:
        return f"; with {prompts_text(row)} any difference may be missed"
    if row.mde is None:
        return ""
    return f"; under {size_text(row, row.mde)} would be missed"
