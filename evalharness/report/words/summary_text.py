"""The answers of a report in plain sentences, from the data of ``report --json`` alone.

HTML, Markdown and console tell the same story because they all take it from here.
"""

from __future__ import annotations

from typing import Any

import msgspec

from evalharness.report.caveats import Caveat, caveats
from evalharness.report.caveats.evidence import asked_repeats
from evalharness.report.words import format_numbers as n
from evalharness.report.words.answers import Answer, answers, listing
from evalharness.report.words.differences import Difference, differences, slopes

Row = dict[str, Any]


class Story(msgspec.Struct, frozen=True):
    """What the first screen says."""

    title: str
    facts: list[tuple[str, str]]
    answers: list[Answer]
    real: list[Difference]
    undetected: list[Difference]
    slopes: list[str]
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
        slopes=slopes(data["trends"]),
        caveats=caveats(data),
    )


def facts(data: Row) -> list[tuple[str, str]]:
    """What was run: model, size, when, how long, cost."""
    run, rows = data["run"], data["settings"]
    models = sorted({str(r["params"]["model"]) for r in rows if r["params"].get("model")})
    shape = (
        f"{n.plural(run['prompts'], 'prompt')} × {n.plural(run['settings'], 'setting')} × "
        f"{repeats(data)}"
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


def repeats(data: Row) -> str:
    """``3 repeats``, ``2–3 repeats``: usable ones a prompt, or those asked for if none is."""
    found = sorted({r["agreement"]["raw"]["n"] for r in data["settings"]} - {None, 0})
    if not found:
        return n.plural(asked_repeats(data), "repeat")
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
    billed = sum(r["cost_usd"]["billed_total"] or 0.0 for r in data["settings"])
    total = n.dollars(sum(known))
    if billed and abs(billed - sum(known)) > 0.01 * billed:
        total += f" by the price table, {n.dollars(billed)} billed"
    elif free:
        total += " (free)"
    missing = len(data["settings"]) - len(known)
    return total if not missing else f"{total}; unknown for {n.plural(missing, 'setting')}"
