"""The answers of a report in plain sentences, from the data of ``report --json`` alone.

HTML, Markdown and console tell the same story because they all take it from here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from evalharness.report import numbers as n
from evalharness.report.caveats import Caveat, caveats

Row = dict[str, Any]

#: Below this an adjusted p value counts as a difference.
LEVEL = 0.05
_METRIC_ORDER = (
    "agreement", "agreement_answer", "score", "latency_s", "completion_tokens", "cost_usd",
)  # fmt: skip
_NAMED = 3  # settings named in a sentence before the rest are only counted


class Answer(msgspec.Struct, frozen=True):
    """One question with its answer.

    ``question`` is ``Most repeatable`` and the like; ``who`` names a setting, or says that none
    can be named; ``figure`` is the leader's value with its interval; ``text`` says what that means;
    ``settled`` is whether the data single out fewer settings than there are.
    """

    question: str
    who: str
    figure: str
    text: str
    settled: bool


class Difference(msgspec.Struct, frozen=True):
    """One comparison in plain words; ``row`` is the comparison of the JSON."""

    text: str
    row: Row


class Story(msgspec.Struct, frozen=True):
    """What the first screen says."""

    title: str
    facts: list[tuple[str, str]]
    answers: list[Answer]
    real: list[Difference]
    undetected: list[Difference]
    caveats: list[Caveat]


def tell(data: Row) -> Story:
    """Tell the story of one run; ``data`` is the JSON of ``report --json``."""
    real, undetected = differences(data["comparisons"])
    return Story(
        title=str(data["run"]["name"]),
        facts=facts(data),
        answers=answers(data),
        real=real,
        undetected=undetected,
        caveats=caveats(data),
    )


def facts(data: Row) -> list[tuple[str, str]]:
    """What was run: model, size, when, how long, cost."""
    run, rows = data["run"], data["settings"]
    models = sorted({str(r["params"]["model"]) for r in rows if r["params"].get("model")})
    shape = (
        f"{n.plural(run['prompts'], 'prompt')} × {n.plural(run['settings'], 'setting')} × "
        f"{repeats(rows)}"
    )
    timeline = data.get("timeline")
    took = None if timeline is None else timeline["bin_s"] * len(timeline["bins"])
    return [
        ("Model", listing(models, 4) or "imported, not named"),
        ("Size", shape),
        ("Records", recorded(run)),
        ("Started", n.instant(run["created_at"])),
        *([] if took is None else [("Sending took", n.span(took))]),
        ("Cost", total_cost(data)),
    ]


def repeats(rows: Sequence[Row]) -> str:
    """``3 repeats``, ``2–3 repeats``."""
    found = sorted({r["agreement"]["raw"]["n"] for r in rows if r["agreement"]["raw"]["n"]})
    if not found:
        return "1 repeat"
    few, most = found[0], found[-1]
    return n.plural(most, "repeat") if few == most else f"{few}–{most} repeats"


def recorded(run: Row) -> str:
    """How many trials are recorded, and of how many where some are missing."""
    if run["planned"] is None or run["planned"] <= run["records"]:
        return n.count(run["records"])
    return f"{run['records']:,} of {run['planned']:,} planned ({run['status']})"


def total_cost(data: Row) -> str:
    """The cost of all settings whose cost is known."""
    known = [r["cost_usd"]["total"] for r in data["settings"] if r["cost_usd"]["total"] is not None]
    if not known:
        return "unknown (no price)"
    free = sum(known) == 0 and all(entry["free"] for entry in data["prices"]["used"])
    total = n.dollars(sum(known)) + (" (free)" if free else "")
    missing = len(data["settings"]) - len(known)
    return total if not missing else f"{total}; unknown for {n.plural(missing, 'setting')}"


def answers(data: Row) -> list[Answer]:
    """Which setting is the most repeatable, the best, the fastest, the cheapest."""
    questions = (
        ("Most repeatable", "agreement"), ("Best score", "score"),
        ("Fastest", "latency_s"), ("Cheapest", "cost_usd"),
    )  # fmt: skip
    return [_answer(data, question, metric) for question, metric in questions]


def _answer(data: Row, question: str, metric: str) -> Answer:
    found = data["leaders"].get(metric)
    if found is None:
        return _alone(data, question, metric)
    rows = {row["setting_id"]: row for row in data["settings"]}
    group, total = found["group"], len(found["others"]) + 1
    leader = rows[found["setting_id"]]
    figure = _figure(leader, metric)
    labels = [rows[name]["label"] for name in group]
    same = [row for row in found["others"] if row["value"] == found["value"]]
    if len(same) == total - 1:
        return Answer(question, "All alike", figure, _all_alike(metric, found["value"]), False)
    if len(group) == total:
        text = (
            f"{leader['label']} has the best figure, but no other setting is detectably "
            f"{_WORSE[metric]} at this size."
        )
        return Answer(question, "Not settled", figure, text, False)
    beaten = total - len(group)
    others = (
        "every other setting" if beaten == total - 1 else f"the other {n.plural(beaten, 'setting')}"
    )
    who, rest = leader["label"], f"detectably {_BETTER[metric]} than {others}"
    if len(group) == 1:
        text = f"{_meaning(leader, metric)}; {rest}{_lead(found, metric)}."
    elif same:
        who = f"{len(same) + 1} settings alike"
        alike = [leader["label"], *(rows[row["setting_id"]]["label"] for row in same)]
        text = f"{_meaning(leader, metric)} for {listing(alike, _NAMED)}; {rest}."
    else:
        text = (
            f"{_meaning(leader, metric)}; not detectably different from "
            f"{listing(labels[1:], _NAMED)}; {rest}."
        )
    return Answer(question, who, figure, text, True)


_WORSE = {
    "agreement": "less repeatable", "score": "worse", "latency_s": "slower", "cost_usd": "dearer",
}  # fmt: skip
_BETTER = {
    "agreement": "more repeatable", "score": "better", "latency_s": "faster",
    "cost_usd": "cheaper",
}  # fmt: skip


def _all_alike(metric: str, value: float) -> str:
    if metric == "cost_usd" and value == 0:
        return "Nothing was billed: no setting costs anything here."
    return f"Every setting has the same figure, {n.value_of(metric, value)}."


def _alone(data: Row, question: str, metric: str) -> Answer:
    """The answer where settings cannot be compared: the only figure there is, or why none."""
    rows = [row for row in data["settings"] if _known(row, metric)]
    if not rows:
        return Answer(question, n.DASH, n.DASH, _WHY_NONE[metric], False)
    row = rows[0]
    only = "the only setting" if len(data["settings"]) == 1 else "the only setting with a figure"
    return Answer(
        question, row["label"], _figure(row, metric), f"{_meaning(row, metric)}; {only}.", False
    )


_WHY_NONE = {
    "agreement": "No prompt has two usable repeats: repeatability needs repeats=2 or more.",
    "score": "Nothing was scored: no scorer, or no prompt has a target.",
    "latency_s": "No latency is known.",
    "cost_usd": "No price is known for these models.",
}


def _known(row: Row, metric: str) -> bool:
    return _value(row, metric) is not None


def _value(row: Row, metric: str) -> float | None:
    if metric == "agreement":
        return row["agreement"]["raw"]["pairwise"]
    if metric == "score":
        return (row["score"] or {}).get("mean")
    if metric == "latency_s":
        return row["latency_s"]["mean"]
    return row["cost_usd"]["per_1k_requests"]


def _figure(row: Row, metric: str) -> str:
    if metric == "agreement":
        raw = row["agreement"]["raw"]
        return f"{n.percent(raw['pairwise'])} {n.share_interval(raw['ci95'])}".strip()
    if metric == "score":
        return f"{n.percent(row['score']['mean'])} {n.share_interval(row['score']['ci95'])}".strip()
    if metric == "latency_s":
        return f"{n.seconds(row['latency_s']['mean'])} mean"
    return f"{n.dollars(row['cost_usd']['per_1k_requests'])} per 1,000"


def _meaning(row: Row, metric: str) -> str:
    """What the figure of a setting means, as the beginning of a sentence."""
    if metric == "agreement":
        raw = row["agreement"]["raw"]
        size = f"{n.plural(raw['prompts'], 'prompt')} × {n.plural(raw['n'], 'repeat')}"
        if raw["pairwise"] == 1:
            return f"No divergence in {size}"
        often = n.percent(raw["pairwise"])
        return f"Two repeats of a prompt gave the same text {often} of the time"
    if metric == "score":
        return f"Mean score over {n.plural(row['score']['prompts'], 'prompt')} with a target"
    if metric == "latency_s":
        latency = row["latency_s"]
        half, most = n.seconds(latency["p50"]), n.seconds(latency["p95"])
        return f"Half of {latency['n']:,} answers within {half}, 95 % within {most}"
    return f"{n.dollars(row['cost_usd']['total'])} for {n.plural(row['cost_usd']['n'], 'request')}"


def _lead(found: Row, metric: str) -> str:
    """How far ahead of the closest other setting."""
    if not found["others"]:
        return ""
    closest = min(found["others"], key=lambda row: abs(row["difference"] or 0.0))
    if closest["difference"] is None:
        return ""
    ends = [-end for end in reversed(closest["ci95"])] if closest["ci95"] else None
    return (
        f" (ahead of the closest by {n.size_of(metric, closest['difference'])}, "
        f"95 % interval {n.difference_interval(metric, ends)})"
    )


def listing(names: Sequence[str], most: int) -> str:
    """``a, b and c``; beyond ``most`` names the rest are counted.

    Names that hold commas are set apart by semicolons.
    """
    rest = len(names) - most
    shown = list(names) if rest <= 1 else [*names[:most], f"{rest} more"]
    if any("," in name for name in shown):
        return "; ".join(shown)
    return ", ".join(shown[:-1]) + (" and " if len(shown) > 1 else "") + "".join(shown[-1:])


def differences(comparisons: Sequence[Row]) -> tuple[list[Difference], list[Difference]]:
    """Split the comparisons a reader needs into real differences and undetected ones.

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
    chosen.sort(key=_rank)
    real = [Difference(in_words(row), row) for row in chosen if is_real(row)]
    undetected = [Difference(in_words(row), row) for row in chosen if not is_real(row)]
    return real, undetected


def is_real(row: Row) -> bool:
    """Whether a comparison found a difference, after adjustment for its family."""
    return row["p_adjusted"] is not None and row["p_adjusted"] < LEVEL


def _says(row: Row) -> bool:
    """Whether a row is more than 0 against 0: free requests differ in nothing."""
    return not (row["metric"] == "cost_usd" and row["a_mean"] == 0 and row["b_mean"] == 0)


def _rank(row: Row) -> tuple[int, str]:
    metric = row["metric"]
    order = _METRIC_ORDER.index(metric) if metric in _METRIC_ORDER else len(_METRIC_ORDER)
    return order, str(row["by"])


def in_words(row: Row) -> str:
    """One comparison for a reader who does not know the field's words."""
    metric, difference = row["metric"], row["difference"]
    sides = f"{_side(row, 'a')} against {_side(row, 'b')}{_stratum(row)}"
    ends = n.difference_interval(metric, row["ci95"])
    if is_real(row):
        return f"{sides}: {_verb(metric, difference)} {ends}"
    size = n.difference_of(metric, difference)
    return f"{sides}: {_NOUNS.get(metric, metric)} {size} {ends}{_limits(row)}"


def _limits(row: Row) -> str:
    """Why an undetected difference may still be there."""
    if row["family"] > 1 and row["p"] is not None and row["p"] < LEVEL:
        return f"; {n.p_value(row['p_adjusted'])} after allowing for {row['family']} comparisons"
    if row["mde"] is None:
        return ""
    return f"; under {n.size_of(row['metric'], row['mde'])} would be missed"


_NOUNS = {
    "agreement": "same text", "agreement_answer": "same answer", "score": "score",
    "latency_s": "latency", "completion_tokens": "output", "cost_usd": "cost",
}  # fmt: skip


def _verb(metric: str, difference: float) -> str:
    size, more = n.size_of(metric, difference), difference > 0
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
    if row["pooled"]:
        return ""
    if not row["stratum"]:
        return ""
    return " at " + ", ".join(f"{k} {n.parameter(v)}" for k, v in row["stratum"].items())
