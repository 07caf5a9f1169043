"""Sentences on comparisons: which differences are real, and which were not detected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from evalharness.analysis.comparison.comparison_text import is_underpowered
from evalharness.process.text import plural
from evalharness.report.words.format_numbers import (
    difference_interval,
    largest_figure,
    metric_difference,
    metric_size,
    p_value,
    parameter_text,
    slope_interval,
)

Row = dict[str, Any]

#: Below this an adjusted p value counts as a difference.
SIGNIFICANCE_LEVEL = 0.05
_METRIC_ORDER = (
    "agreement", "agreement_answer", "score", "latency_s", "completion_tokens", "cost_usd",
)  # fmt: skip
_MAX_SENTENCES_PER_AXIS = 3  # values of an axis that get a sentence each; more share one


class Difference(msgspec.Struct, frozen=True):
    """One sentence on a comparison, or on all of one axis; ``rows`` are those of the JSON."""

    text: str
    rows: list[Row]


def split_differences(comparisons: Sequence[Row]) -> tuple[list[Difference], list[Difference]]:
    """Split the comparisons a reader needs into real differences and undetected ones.

    Many values of one axis share a sentence that gives the range and the largest difference.
    Where an axis was pooled over the others, only its pooled rows are used. Rows without
    information (no prompt on both sides, or 0 against 0 everywhere) are in neither list.
    """
    pooled = {(row["metric"], row["by"]) for row in comparisons if row["pooled"]}
    rows = [
        row
        for row in comparisons
        if row["n"]
        and (row["pooled"] or (row["metric"], row["by"]) not in pooled)
        and _is_informative(row)
    ]
    rows.sort(key=metric_rank)
    strata = _strata_by_sides(comparisons)
    real = [row for row in rows if is_real(row)]
    undetected = [row for row in rows if not is_real(row)]
    return _sentences(real, strata), _sentences(undetected, strata)


def _strata_by_sides(comparisons: Sequence[Row]) -> dict[tuple[str, ...], list[Row]]:
    """The comparisons within strata that a pooled one is the mean of, by :func:`_sides_key`."""
    strata: dict[tuple[str, ...], list[Row]] = {}
    for row in comparisons:
        if not row["pooled"] and row["n"]:
            strata.setdefault(_sides_key(row), []).append(row)
    return strata


def _sides_key(row: Row) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in ("metric", "by", "a_value", "b_value"))


def _sentences(rows: Sequence[Row], strata: dict[tuple[str, ...], list[Row]]) -> list[Difference]:
    """One sentence for each row; a shared one where many values of an axis differ alike."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        direction = row["difference"] > 0 if is_real(row) else None
        key = (row["metric"], row["by"], direction, str(row["stratum"]), row["pooled"])
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


def _range_sentence(rows: Sequence[Row]) -> str:
    """Many values of an axis against the same baseline, in one sentence."""
    largest = max(rows, key=lambda row: abs(row["difference"]))
    smallest = min(rows, key=lambda row: abs(row["difference"]))
    metric, by, base = largest["metric"], largest["by"], parameter_text(largest["b_value"])
    sides = f"{by} against {base}{_stratum_suffix(largest)}"
    ends = difference_interval(metric, largest["ci95"], largest_figure(largest))
    where = f"{parameter_text(largest['a_value'])}"
    if is_real(largest):
        low, high = (
            metric_size(metric, row["difference"], largest_figure(largest))
            for row in (smallest, largest)
        )
        words = _verb(metric, largest["difference"], f"{low} to {high}")
        return f"{sides}, at {len(rows)} values: {words}; most at {where} {ends}"
    noun = metric_noun(metric)
    if all(all_tied(row) for row in rows):
        equal = f"{noun} equal for each of {prompts_text(largest)} {ends}"
        return f"{sides}, at {len(rows)} values: {equal}"
    size = metric_difference(metric, largest["difference"], largest_figure(largest))
    text = f"{noun}, at most {size} {ends} at {where}"
    return f"{sides}, at {len(rows)} values: {text}{_detection_limit(largest)}"


def slope_sentences(trends: Sequence[Row]) -> list[str]:
    """The trends along ordered axes that are real, a sentence each."""
    real = [row for row in trends if is_real(row)]
    return [_slope_sentence(row) for row in sorted(real, key=metric_rank)]


def _slope_sentence(row: Row) -> str:
    metric, slope = row["metric"], row["slope"]
    _, ends = slope_texts(row)
    words = _verb(metric, slope, metric_size(metric, slope, _largest(row)))
    return f"Per unit of {row['by']}{_stratum_suffix(row)}: {words} {ends}"


def slope_texts(row: Row) -> tuple[str, str]:
    """A trend's slope, signed and with its unit, and its interval in the same unit."""
    metric, largest = row["metric"], _largest(row)
    return (
        metric_difference(metric, row["slope"], largest),
        slope_interval(metric, row["ci95"], largest),
    )


def _largest(row: Row) -> float:
    return max(map(abs, (row["slope"] or 0.0, *(row["ci95"] or ()))))


def is_real(row: Row) -> bool:
    """Whether the difference or slope is significant, after adjustment for its family."""
    return row["p_adjusted"] is not None and row["p_adjusted"] < SIGNIFICANCE_LEVEL


def _is_informative(row: Row) -> bool:
    """Whether a row is worth a sentence: not where all lengths or costs are equal."""
    return not (row["metric"] in ("cost_usd", "completion_tokens") and all_tied(row))


def all_tied(row: Row) -> bool:
    """Whether no prompt differs at all."""
    return row["wins"] == row["losses"] == 0


def prompts_text(row: Row) -> str:
    """``12 prompts``: the number of prompts that are compared."""
    return plural(row["n"], "prompt")


def metric_rank(row: Row) -> tuple[int, str]:
    """The sort key of a row: by metric, the most asked for first, then by axis."""
    metric = row["metric"]
    order = _METRIC_ORDER.index(metric) if metric in _METRIC_ORDER else len(_METRIC_ORDER)
    return order, str(row["by"])


def comparison_sentence(row: Row, strata: Sequence[Row] = ()) -> str:
    """One comparison in everyday words.

    Args:
        row: the comparison.
        strata: the comparisons that a pooled one is the mean of. Where they disagree, the mean
            describes none of them, and the sentence gives each.
    """
    metric, difference, largest = row["metric"], row["difference"], largest_figure(row)
    sides = f"{_side_text(row, 'a')} against {_side_text(row, 'b')}{_stratum_suffix(row)}"
    ends = difference_interval(metric, row["ci95"], largest)
    disagreement = _strata_disagreement(row, strata) if row["pooled"] else ""
    if disagreement:
        ends = f"on average; {disagreement}" if row["ci95"] is None else f"{ends}; {disagreement}"
    if all_tied(row):
        equal = f"{sides}: {metric_noun(metric)} equal for each of {prompts_text(row)}"
        return equal if row["ci95"] is None else f"{equal} {ends}"
    if is_real(row):
        return (
            f"{sides}: {_verb(metric, difference, metric_size(metric, difference, largest))} {ends}"
        )
    size = metric_difference(metric, difference, largest)
    return f"{sides}: {metric_noun(metric)} {size} {ends}{_detection_limit(row)}"


def _strata_disagreement(row: Row, strata: Sequence[Row]) -> str:
    """``not alike: −83.3 pp (seed not sent), 0.0 pp (seed 42)``; empty where strata may agree.

    Strata disagree where the intervals of two of them do not overlap.
    """
    ends = [stratum["ci95"] or [stratum["difference"]] * 2 for stratum in strata]
    if not ends or max(low for low, _ in ends) <= min(high for _, high in ends):
        return ""
    metric, largest = row["metric"], largest_figure(row)
    ranked = sorted(strata, key=lambda stratum: stratum["difference"])
    spread = ranked[-1]["difference"] - ranked[0]["difference"]
    for axis in ranked[0]["stratum"]:
        groups: dict[str, list[float]] = {}
        for stratum in strata:
            value = parameter_text(stratum["stratum"].get(axis))
            groups.setdefault(value, []).append(stratum["difference"])
        # An axis explains the disagreement where strata with the same value of it nearly agree.
        if all(max(sizes) - min(sizes) <= 0.1 * spread for sizes in groups.values()):
            means = [(sum(d) / len(d), f"{axis} {value}") for value, d in groups.items()]
            break
    else:
        means = [(s["difference"], _stratum_suffix(s).removeprefix(" at ")) for s in ranked]
    only_range = len(means) > _MAX_SENTENCES_PER_AXIS
    shown = [min(means), max(means)] if only_range else means
    texts = [f"{metric_difference(metric, size, largest)} ({where})" for size, where in shown]
    return f"not alike: {(' to ' if only_range else ', ').join(texts)}"


def _detection_limit(row: Row) -> str:
    """Why an undetected difference may still be there."""
    if row["family"] > 1 and row["p"] is not None and row["p"] < SIGNIFICANCE_LEVEL:
        return f"; {p_value(row['p_adjusted'])} after allowing for {row['family']} comparisons"
    if row["mde"] is None:
        return ""
    if is_underpowered(row):
        return f"; with {prompts_text(row)} any difference may be missed"
    return f"; under {metric_size(row['metric'], row['mde'], largest_figure(row))} would be missed"


_NOUNS = {
    "agreement": "same text", "agreement_answer": "same answer", "score": "score",
    "latency_s": "latency", "completion_tokens": "output length", "cost_usd": "cost",
}  # fmt: skip


def metric_noun(metric: str) -> str:
    """What a metric measures, in words; the name of one that is not known here."""
    return _NOUNS.get(metric, metric)


def _verb(metric: str, difference: float, size: str) -> str:
    more = difference > 0
    often = "more" if more else "less"
    phrases = {
        "agreement": f"the same text {size} {often} often",
        "agreement_answer": f"the same answer {size} {often} often",
        "latency_s": f"answers take {size} {'longer' if more else 'less'}",
        "completion_tokens": f"outputs are {size} {'longer' if more else 'shorter'}",
        "cost_usd": f"a request costs {size} {often}",
    }
    return phrases.get(metric, f"{metric} {size} {'higher' if more else 'lower'}")


def _side_text(row: Row, side: str) -> str:
    value = row[f"{side}_value"]
    shown = parameter_text(value)
    return f"{row['by']} {shown}" if side == "a" else shown


def stratum_text(stratum: Row) -> str:
    """``temperature 0, seed not sent``: the values of the other axes, which both sides share."""
    return ", ".join(f"{axis} {parameter_text(value)}" for axis, value in stratum.items())


def sides_text(row: Row) -> str:
    """``temperature 1 − 0``: what is subtracted from what."""
    return f"{row['by']} {parameter_text(row['a_value'])} − {parameter_text(row['b_value'])}"


def _stratum_suffix(row: Row) -> str:
    if row.get("pooled"):
        return f" (mean of {len(row['a_settings'])} pairs of settings)"
    if not row["stratum"]:
        return ""
    return f" at {stratum_text(row['stratum'])}"
