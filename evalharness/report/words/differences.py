"""Comparisons in plain words: which differences are real, and what could not be told apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from evalharness.analysis.comparison.sentences import is_hopeless
from evalharness.report.words import format_numbers as n

Row = dict[str, Any]

#: Below this an adjusted p value counts as a difference.
LEVEL = 0.05
_METRIC_ORDER = (
    "agreement", "agreement_answer", "score", "latency_s", "completion_tokens", "cost_usd",
)  # fmt: skip
_ONE_BY_ONE = 3  # values of an axis that get a sentence each; more share one


class Difference(msgspec.Struct, frozen=True):
    """One sentence on a comparison, or on the comparisons of one axis; ``rows`` are the JSON's."""

    text: str
    rows: list[Row]


def differences(comparisons: Sequence[Row]) -> tuple[list[Difference], list[Difference]]:
    """Split the comparisons a reader needs into real differences and undetected ones.

    Many values of one axis share a sentence that gives the range and the largest difference.
    Where an axis was pooled over the others, the pooled rows stand for it: the strata are in the
    comparisons. Rows that nothing can be said about (no prompt on both sides, or 0 against 0
    everywhere) are in neither list.
    """
    pooled = {(row["metric"], row["by"]) for row in comparisons if row["pooled"]}
    chosen = [
        row
        for row in comparisons
        if row["n"] and (row["pooled"] or (row["metric"], row["by"]) not in pooled) and _says(row)
    ]
    chosen.sort(key=rank)
    strata = _strata(comparisons)
    real = [row for row in chosen if is_real(row)]
    undetected = [row for row in chosen if not is_real(row)]
    return _sentences(real, strata), _sentences(undetected, strata)


def _strata(comparisons: Sequence[Row]) -> dict[tuple[str, ...], list[Row]]:
    """The comparisons within strata that a pooled one is the mean of, by :func:`_sides`."""
    found: dict[tuple[str, ...], list[Row]] = {}
    for row in comparisons:
        if not row["pooled"] and row["n"]:
            found.setdefault(_sides(row), []).append(row)
    return found


def _sides(row: Row) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in ("metric", "by", "a_value", "b_value"))


def _sentences(rows: Sequence[Row], strata: dict[tuple[str, ...], list[Row]]) -> list[Difference]:
    """A sentence a row; one for all where an axis has many values of the same direction."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        direction = row["difference"] > 0 if is_real(row) else None
        key = (row["metric"], row["by"], direction, str(row["stratum"]), row["pooled"])
        groups.setdefault(key, []).append(row)
    found: list[Difference] = []
    for group in groups.values():
        if len(group) > _ONE_BY_ONE:
            found.append(Difference(_together(group), group))
        else:
            told = [in_words(row, strata.get(_sides(row), ())) for row in group]
            found += [Difference(text, [row]) for text, row in zip(told, group, strict=True)]
    return found


def _together(rows: Sequence[Row]) -> str:
    """Many values of an axis against the same baseline, in one sentence."""
    largest = max(rows, key=lambda row: abs(row["difference"]))
    smallest = min(rows, key=lambda row: abs(row["difference"]))
    metric, by, base = largest["metric"], largest["by"], n.parameter(largest["b_value"])
    sides = f"{by} against {base}{_stratum(largest)}"
    ends = n.difference_interval(metric, largest["ci95"], n.largest_of(largest))
    where = f"{n.parameter(largest['a_value'])}"
    if is_real(largest):
        least, most = (
            n.size_of(metric, row["difference"], n.largest_of(largest))
            for row in (smallest, largest)
        )
        words = _verb(metric, largest["difference"], f"{least} to {most}")
        return f"{sides}, at {len(rows)} values: {words}; most at {where} {ends}"
    noun = noun_of(metric)
    if all(all_tied(row) for row in rows):
        return (
            f"{sides}, at {len(rows)} values: {noun} equal for each of {prompts_of(largest)} {ends}"
        )
    size = n.difference_of(metric, largest["difference"], n.largest_of(largest))
    most = f"{noun}, at most {size} {ends} at {where}"
    return f"{sides}, at {len(rows)} values: {most}{_limits(largest)}"


def slopes(trends: Sequence[Row]) -> list[str]:
    """The trends along ordered axes that are real, a sentence each."""
    found = [row for row in trends if is_real(row)]
    return [_slope(row) for row in sorted(found, key=rank)]


def _slope(row: Row) -> str:
    metric, slope = row["metric"], row["slope"]
    _, ends = slope_of(row)
    words = _verb(metric, slope, n.size_of(metric, slope, _largest(row)))
    return f"Per unit of {row['by']}{_stratum(row)}: {words} {ends}"


def slope_of(row: Row) -> tuple[str, str]:
    """A trend's slope, signed and with its unit, and its interval in the same unit."""
    metric, beside = row["metric"], _largest(row)
    return (
        n.difference_of(metric, row["slope"], beside),
        n.slope_interval(metric, row["ci95"], beside),
    )


def _largest(row: Row) -> float:
    return max(map(abs, (row["slope"] or 0.0, *(row["ci95"] or ()))))


def is_real(row: Row) -> bool:
    """Whether a comparison (or trend) found something, after adjustment for its family."""
    return row["p_adjusted"] is not None and row["p_adjusted"] < LEVEL


def _says(row: Row) -> bool:
    """Whether a row says something: equal lengths or costs of every prompt are a property of it."""
    return not (row["metric"] in ("cost_usd", "completion_tokens") and all_tied(row))


def all_tied(row: Row) -> bool:
    """Whether no prompt differs at all."""
    return row["wins"] == row["losses"] == 0


def prompts_of(row: Row) -> str:
    """``12 prompts``: how many were joined."""
    return n.plural(row["n"], "prompt")


def rank(row: Row) -> tuple[int, str]:
    """Where a row stands among others: by metric as a reader asks for them, then by axis."""
    metric = row["metric"]
    order = _METRIC_ORDER.index(metric) if metric in _METRIC_ORDER else len(_METRIC_ORDER)
    return order, str(row["by"])


def in_words(row: Row, strata: Sequence[Row] = ()) -> str:
    """One comparison for a reader who does not know the field's words.

    ``strata`` are the comparisons a pooled one is the mean of: where they disagree, the mean
    stands for none of them, and each is told.
    """
    metric, difference, beside = row["metric"], row["difference"], n.largest_of(row)
    sides = f"{_side(row, 'a')} against {_side(row, 'b')}{_stratum(row)}"
    ends = n.difference_interval(metric, row["ci95"], beside)
    apart = _apart(row, strata) if row["pooled"] else ""
    if apart:
        ends = f"on average; {apart}" if row["ci95"] is None else f"{ends}; {apart}"
    if all_tied(row):
        equal = f"{sides}: {noun_of(metric)} equal for each of {prompts_of(row)}"
        return equal if row["ci95"] is None else f"{equal} {ends}"
    if is_real(row):
        return f"{sides}: {_verb(metric, difference, n.size_of(metric, difference, beside))} {ends}"
    size = n.difference_of(metric, difference, beside)
    return f"{sides}: {noun_of(metric)} {size} {ends}{_limits(row)}"


def _apart(row: Row, strata: Sequence[Row]) -> str:
    """``not alike: −83.3 pp (seed not sent), 0.0 pp (seed 42)``; empty where strata may agree.

    They disagree where the intervals of two do not overlap.
    """
    ends = [stratum["ci95"] or [stratum["difference"]] * 2 for stratum in strata]
    if not ends or max(low for low, _ in ends) <= min(high for _, high in ends):
        return ""
    metric, beside = row["metric"], n.largest_of(row)
    ranked = sorted(strata, key=lambda stratum: stratum["difference"])
    spread = ranked[-1]["difference"] - ranked[0]["difference"]
    for axis in ranked[0]["stratum"]:
        groups: dict[str, list[float]] = {}
        for stratum in strata:
            value = n.parameter(stratum["stratum"].get(axis))
            groups.setdefault(value, []).append(stratum["difference"])
        # One axis explains it all where strata alike in it are nearly alike.
        if all(max(found) - min(found) <= 0.1 * spread for found in groups.values()):
            means = [(sum(d) / len(d), f"{axis} {value}") for value, d in groups.items()]
            break
    else:
        means = [(s["difference"], _stratum(s).removeprefix(" at ")) for s in ranked]
    most = [min(means), max(means)] if len(means) > _ONE_BY_ONE else means
    told = [f"{n.difference_of(metric, size, beside)} ({where})" for size, where in most]
    return f"not alike: {', '.join(told) if most is means else ' to '.join(told)}"


def _limits(row: Row) -> str:
    """Why an undetected difference may still be there."""
    if row["family"] > 1 and row["p"] is not None and row["p"] < LEVEL:
        return f"; {n.p_value(row['p_adjusted'])} after allowing for {row['family']} comparisons"
    if row["mde"] is None:
        return ""
    if is_hopeless(row):
        return f"; with {prompts_of(row)} any difference may be missed"
    return f"; under {n.size_of(row['metric'], row['mde'], n.largest_of(row))} would be missed"


_NOUNS = {
    "agreement": "same text", "agreement_answer": "same answer", "score": "score",
    "latency_s": "latency", "completion_tokens": "output length", "cost_usd": "cost",
}  # fmt: skip


def noun_of(metric: str) -> str:
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


def _side(row: Row, side: str) -> str:
    value = row[f"{side}_value"]
    shown = n.parameter(value)
    return f"{row['by']} {shown}" if side == "a" else shown


def _stratum(row: Row) -> str:
    if row.get("pooled"):
        return f" (mean of {len(row['a_settings'])} pairs of settings)"
    if not row["stratum"]:
        return ""
    return " at " + ", ".join(f"{k} {n.parameter(v)}" for k, v in row["stratum"].items())
