"""The summary of a report in sentences, from the data of ``report --json`` alone.

HTML, Markdown and console all show this summary.
"""

from __future__ import annotations

from typing import Any

import msgspec

from evalharness.process.text import plural
from evalharness.report.caveats import Caveat, caveats
from evalharness.report.caveats.evidence import max_trials_per_prompt
from evalharness.report.words.differences import Difference, slope_sentences, split_differences
from evalharness.report.words.format_numbers import (
    add_dollars,
    count_text,
    dollars,
    duration,
    instant,
)
from evalharness.report.words.headline_answers import HeadlineAnswer, headline_answers, join_names
from evalharness.report.words.unknown_cost_text import add_reasons, unknown_reasons_text

Row = dict[str, Any]


class SummaryText(msgspec.Struct, frozen=True):
    """The first screen of a report."""

    title: str
    facts: list[tuple[str, str]]
    answers: list[HeadlineAnswer]
    real: list[Difference]
    undetected: list[Difference]
    slopes: list[str]
    caveats: list[Caveat]


def summary_text(data: Row) -> SummaryText:
    """Summarise one run; ``data`` is the JSON of ``report --json``."""
    real, undetected = split_differences(data["comparisons"])
    return SummaryText(
        title=str(data["run"]["name"]),
        facts=run_facts(data),
        answers=headline_answers(data),
        real=real,
        undetected=undetected,
        slopes=slope_sentences(data["trends"]),
        caveats=caveats(data),
    )


def run_facts(data: Row) -> list[tuple[str, str]]:
    """The facts of a run by name: model, size, start, duration, cost."""
    run, rows = data["run"], data["settings"]
    models = sorted({str(r["params"]["model"]) for r in rows if r["params"].get("model")})
    size = (
        f"{plural(run['prompts'], 'prompt')} × {plural(run['settings'], 'setting')} × "
        f"{repeats_text(data)}"
    )
    timeline = data.get("timeline")
    sending_s = None if timeline is None else timeline["bin_s"] * len(timeline["bins"])
    return [
        ("Model", join_names(models, 4) or "imported, not named"),
        ("Size", size),
        ("Records", record_count_text(run)),
        ("Started", instant(run["created_at"])),
        *([] if sending_s is None else [("Sending took", duration(sending_s))]),
        ("Cost", total_cost_text(data)),
    ]


def repeats_text(data: Row) -> str:
    """``3 repeats``, ``2–3 repeats``: usable ones of a prompt, or all of them if none is usable."""
    repeats = sorted({r["agreement"]["raw"]["n"] for r in data["settings"]} - {None, 0})
    if not repeats:
        return plural(max_trials_per_prompt(data), "repeat")
    fewest, largest = repeats[0], repeats[-1]
    return plural(largest, "repeat") if fewest == largest else f"{fewest}–{largest} repeats"


def record_count_text(run: Row) -> str:
    """The number of recorded trials, with the planned number where some are missing."""
    if run["planned"] is None or run["planned"] <= run["records"]:
        return count_text(run["records"])
    return f"{run['records']:,} of {run['planned']:,} planned ({run['status']})"


def total_cost_text(data: Row) -> str:
    """The cost of all settings whose cost is known, and why it is unknown where it is."""
    known = [r["cost_usd"]["total"] for r in data["settings"] if r["cost_usd"]["total"] is not None]
    if not known:
        return f"unknown ({_unknown_reasons(data['settings'])})"
    computed = add_dollars(known)
    free = computed == 0 and all(entry["free"] for entry in data["prices"]["used"])
    billed = add_dollars(r["cost_usd"]["billed_total"] for r in data["settings"])
    total = dollars(computed)
    if billed and abs(billed - computed) > 0.01 * billed:
        total += f" by the price table, {dollars(billed)} billed"
    elif free:
        total += " (free)"
    unknown = [r for r in data["settings"] if r["cost_usd"]["total"] is None]
    if not unknown:
        return total
    why = _unknown_reasons(unknown)
    return f"{total}; unknown for {plural(len(unknown), 'setting')} ({why})"


def _unknown_reasons(settings: list[Row]) -> str:
    """Why the cost of trials of these settings is unknown; without trials there is no reason."""
    reasons = add_reasons(row["cost_usd"]["unknown_reasons"] for row in settings)
    return unknown_reasons_text(reasons) or "no trials"
