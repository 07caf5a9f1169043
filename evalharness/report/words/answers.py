"""Which setting is the most repeatable, the best, the fastest, the cheapest, in a sentence each."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

import msgspec

from evalharness.report.build.scoring import unscored
from evalharness.report.words import format_numbers as n
from evalharness.report.words.sanitize import one_line

Row = dict[str, Any]

_NAMED = 3  # settings named in a sentence before the rest are only counted


class Answer(msgspec.Struct, frozen=True):
    """One question with its answer.

    ``question`` is ``Most repeatable`` and the like; ``who`` names a setting, or says that none can
    be named (of a single setting it is the figure); ``figure`` is the leader's value with its
    interval; ``text`` says what that means; ``settled`` is whether the data single out fewer
    settings than there are.
    """

    question: str
    who: str
    figure: str
    text: str
    settled: bool


def answers(data: Row) -> list[Answer]:
    """Which setting is the most repeatable, the best, the fastest, the cheapest.

    Of a single setting they say how repeatable, good, fast and cheap it is.
    """
    if len(data["settings"]) == 1:
        row = data["settings"][0]
        return [_single(data, row, name, metric) for metric, name in _SINGLE.items()]
    return [_answer(data, name, metric) for metric, name in _QUESTIONS.items()]


_QUESTIONS = {
    "agreement": "Most repeatable", "score": "Best score", "latency_s": "Fastest",
    "cost_usd": "Cheapest",
}  # fmt: skip
_SINGLE = {
    "agreement": "Same text again", "score": "Score", "latency_s": "Latency", "cost_usd": "Cost",
}  # fmt: skip


def _answer(data: Row, question: str, metric: str) -> Answer:
    found = data["leaders"].get(metric)
    if _none_came(data) or found is None:
        return _unranked(data, question, metric)
    rows = {row["setting_id"]: row for row in data["settings"]}
    total = len(found["others"]) + 1
    leader = rows[found["setting_id"]]
    figure = _figure(data, leader, metric)
    same = [row["setting_id"] for row in found["others"] if row["value"] == found["value"]]
    if len(same) == total - 1:
        return Answer(question, "All alike", figure, _all_alike(data, metric, found), False)
    first = [leader["label"], *(rows[name]["label"] for name in same)]
    near = [rows[name]["label"] for name in found["group"][1:] if name not in same]
    worse = [rows[r["setting_id"]]["label"] for r in found["others"]
             if r["setting_id"] not in found["group"]]  # fmt: skip
    if not is_settled(found):
        has = "has" if len(first) == 1 else "have"
        text = f"{listing(first, _NAMED)} {has} the best figure, but "
        rest = f"no other setting is detectably {_WORSE[metric]} at this size."
        if worse:
            verb = "is" if len(worse) == 1 else "are"
            rest = (
                f"of {n.plural(total - len(first), 'other')} only {listing(worse, 2)} {verb} "
                f"detectably {_WORSE[metric]}."
            )
        return Answer(question, "Not settled", figure, text + rest, False)
    who = leader["label"] if not same else f"{len(first)} settings alike"
    text = _meaning(leader, metric) + (f" for {listing(first, _NAMED)}" if same else "")
    if near:
        text += f"; not detectably different from {listing(near, _NAMED)}"
    text += f"; detectably {_BETTER[metric]} than {_beaten(worse, total)}"
    text += "" if same or near else _lead(found, metric)
    return Answer(question, one_line(who, 60), figure, f"{text}.", True)


def is_settled(found: Row) -> bool:
    """Whether a leading group says something: at least a quarter of the others are outside it.

    One setting of thirty that is detectably worse makes the other twenty-nine no winners.
    ``found`` is a metric of ``leaders``.
    """
    beaten = len(found["others"]) + 1 - len(found["group"])
    return 0 < len(found["others"]) <= 4 * beaten


def _beaten(worse: list[str], total: int) -> str:
    if len(worse) == total - 1:
        return "every other setting" if total > 2 else worse[0]
    return worse[0] if len(worse) == 1 else n.plural(len(worse), "other setting")


_WORSE = {
    "agreement": "less repeatable", "score": "worse", "latency_s": "slower", "cost_usd": "dearer",
}  # fmt: skip
_BETTER = {
    "agreement": "more repeatable", "score": "better", "latency_s": "faster",
    "cost_usd": "cheaper",
}  # fmt: skip


def _all_alike(data: Row, metric: str, found: Row) -> str:
    if metric != "cost_usd" or found["value"]:
        return f"Every setting has the same figure, {n.value_of(metric, found['value'])}."
    billed = sum(row["cost_usd"]["billed_total"] or 0.0 for row in data["settings"])
    if billed:
        return f"Free by the price table, but the provider billed {n.dollars(billed)}."
    return "Nothing was billed: no setting costs anything here."


def _single(data: Row, row: Row, question: str, metric: str) -> Answer:
    if not row["availability"]:
        return Answer(question, _UNKNOWN, n.DASH, _NONE_CAME, False)
    if not _known(row, metric):
        return Answer(question, _UNKNOWN, n.DASH, _why_none(data, metric), False)
    return Answer(question, _figure(data, row, metric), n.DASH, f"{_meaning(row, metric)}.", True)


def _unranked(data: Row, question: str, metric: str) -> Answer:
    """The answer where settings cannot be compared: the only figure there is, or why none."""
    if _none_came(data):
        return Answer(question, _UNKNOWN, n.DASH, _NONE_CAME, False)
    rows = [row for row in data["settings"] if _known(row, metric)]
    if not rows:
        return Answer(question, _UNKNOWN, n.DASH, _why_none(data, metric), False)
    if len(rows) > 1:
        text = f"{len(rows)} settings have a figure, but on too little in common to be compared."
        return Answer(question, "Not settled", n.DASH, text, False)
    row = rows[0]
    text = f"{_meaning(row, metric)}; the only setting with a figure."
    return Answer(question, row["label"], _figure(data, row, metric), text, False)


_UNKNOWN = "Not known"
_NONE_CAME = "Every trial ended in an error: there is nothing to compare."
_WHY_NONE = {
    "agreement": "No prompt has two usable repeats: repeatability needs repeats=2 or more.",
    "latency_s": "No latency is known.",
    "cost_usd": "No price is known for these models.",
}


def _why_none(data: Row, metric: str) -> str:
    run = data["run"]
    open_repeats = run["planned"] is not None and run["planned"] > max(
        run["records"], run["prompts"] * run["settings"]
    )
    if metric == "agreement" and open_repeats:
        return "Not yet: no prompt has two usable repeats; finish the run."
    return _why_unscored(data) if metric == "score" else _WHY_NONE[metric]


def _why_unscored(data: Row) -> str:
    """Why there is no score, and what to type where targets wait for a scorer."""
    run, scorers = data["run"], data["scorers"]
    if scorers:
        first = scorers[0]
        return f"Scorer {first['name']} gave no score: {unscored(first['unscored'])}."
    if run["prompts_with_target"]:
        have = n.plural(run["prompts_with_target"], "prompt")
        has = "has" if run["prompts_with_target"] == 1 else "have"
        return (
            f"No scorer is chosen; {have} {has} a target: evalharness report "
            f"{shlex.quote(run['name'])} scoring=exact"
        )
    return (
        "No scorer is chosen, and no prompt has a `target` to score against; some scorers need "
        f"none: evalharness report {shlex.quote(run['name'])} scoring=json_valid"
    )


def _none_came(data: Row) -> bool:
    return not any(row["availability"] for row in data["settings"])


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


def _figure(data: Row, row: Row, metric: str) -> str:
    """The figure of a setting with its interval over prompts."""
    if metric == "agreement":
        raw = row["agreement"]["raw"]
        return f"{n.percent(raw['pairwise'])} {n.share_interval(raw['ci95'])}".strip()
    if metric == "score":
        return f"{n.percent(row['score']['mean'])} {n.share_interval(row['score']['ci95'])}".strip()
    drawn = next((d for d in data["distributions"] if d["setting_id"] == row["setting_id"]), None)
    ci: Sequence[float] | None = None if drawn is None else drawn["means"][metric]["ci95"]
    if metric == "latency_s":
        mean = row["latency_s"]["mean"]
        return f"{n.seconds(mean)} mean {n.seconds_interval(ci, mean)}".strip()
    price = n.dollars(row["cost_usd"]["per_1k_requests"])
    return f"{price} per 1,000 {n.dollars_interval(ci, 1000)}".strip()


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
    closest = min(found["others"], key=lambda row: abs(row["difference"] or 0.0))
    if closest["difference"] is None:
        return ""
    ends: list[float] = [-end for end in reversed(closest["ci95"] or ())]
    beside = max(abs(x) for x in (closest["difference"], *ends))
    size = n.size_of(metric, closest["difference"], beside)
    inside = n.difference_interval(metric, ends or None, beside)
    return f" (ahead of the closest by {size}, 95\u00a0% interval {inside})"


def listing(names: Sequence[str], most: int) -> str:
    """``a, b and c``; beyond ``most`` names the rest are counted.

    Names that hold commas are set apart by semicolons.
    """
    rest = len(names) - most
    shown = list(names) if rest <= 1 else [*names[:most], f"{rest} more"]
    if any("," in name for name in shown):
        return "; ".join(shown)
    return ", ".join(shown[:-1]) + (" and " if len(shown) > 1 else "") + "".join(shown[-1:])
