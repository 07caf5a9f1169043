"""The facts of a run: model, size, start, duration, cost."""

from __future__ import annotations

from evalharness.process.text import plural
from evalharness.report.section import ReportData
from evalharness.report.sections.attempts.section import TIMELINE
from evalharness.report.sections.headline.evidence_caveats import max_trials_per_prompt
from evalharness.report.sections.money.section import PRICES
from evalharness.report.sections.money.total_cost import total_cost_text
from evalharness.report.sections.pool import POOLED
from evalharness.report.sections.run import RUN, record_count_text
from evalharness.report.sections.settings.section import SETTINGS
from evalharness.report.words.format_numbers import duration, instant
from evalharness.report.words.names import join_names


def run_facts(report: ReportData) -> list[tuple[str, str]]:
    """The facts of a run by name: model, size, start, duration, cost."""
    run, rows = report[RUN], report[SETTINGS]
    models = sorted({str(r.params["model"]) for r in rows if r.params.get("model")})
    size = (
        f"{plural(run.prompts, 'prompt')} × {plural(run.settings, 'setting')} × "
        f"{repeats_text(report)}"
    )
    timeline = report[TIMELINE]
    # Between pooled runs nothing was sent, mostly.
    is_span = timeline is not None and report[POOLED] is None
    sending_s = timeline.bin_s * len(timeline.bins) if timeline is not None and is_span else None
    unnamed = "imported, not named" if run.status == "imported" else "not known"
    return [
        ("Model", join_names(models, 4) or unnamed),
        ("Size", size),
        ("Records", record_count_text(run)),
        ("Started", instant(run.created_at)),
        *([] if sending_s is None else [("Sending took", duration(sending_s))]),
        ("Cost", total_cost_text(rows, report[PRICES])),
    ]


def repeats_text(report: ReportData) -> str:
    """``3 repeats``, ``2–3 repeats``: usable ones of a prompt, or all of them if none is usable."""
    repeats = sorted({r.agreement.raw.n for r in report[SETTINGS]} - {None, 0})
    if not repeats:
        return plural(max_trials_per_prompt(report), "repeat")
    fewest, largest = repeats[0], repeats[-1]
    return plural(largest, "repeat") if fewest == largest else f"{fewest}–{largest} repeats"
