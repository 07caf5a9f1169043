"""Which setting is the most repeatable, the best, the fastest, the cheapest, in a sentence each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from evalharness.report import numbers as n
from evalharness.report.text import one_line

Row = dict[str, Any]

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
        "every other setting"
        if beaten == total - 1
        else "the other setting"
        if beaten == 1
        else f"the other {beaten:,} settings"
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
    return Answer(question, one_line(who, 60), figure, text, True)


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
        return None if row["score"] is None else row["score"]["mean"]
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
        return f"Half of {latency['n']:,} answers within {half}, 95\u00a0% within {most}"
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
        f"95\u00a0% interval {n.difference_interval(metric, ends)})"
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
