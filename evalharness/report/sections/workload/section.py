"""The lengths that a synthetic workload asked for, and those that came."""

from __future__ import annotations

from typing import NamedTuple

from evalharness.analysis.load.workload_lengths import (
    LengthError,
    WorkloadLengths,
    workload_lengths,
)
from evalharness.process.text import plural
from evalharness.report.build.context import BuildContext
from evalharness.report.section import ConsolePart, PageContext, PagePart, ReportData, Section
from evalharness.report.words.format_numbers import MINUS, share_interval, strict_percent
from evalharness.report.words.markdown_text import bullet_list
from evalharness.report.words.sanitize import one_line

HEADING = "Lengths asked for and measured"
_MAX_LINES = 12
_MAX_NAME = 60


def _build(context: BuildContext) -> list[WorkloadLengths]:
    data = context.run_data
    order = {name: row for row, name in enumerate(data.prompts["prompt_id"].to_pylist())}
    fields = data.prompts["fields_json"].to_pylist()
    frame = data.frame
    known = [fields[order[name]] if name in order else None for name in frame.prompt_ids]
    if not any(text and "asked_prompt_tokens" in text for text in known):
        return []
    return workload_lengths(frame, known)


def workload_lines(rows: list[WorkloadLengths]) -> list[str]:
    """A sentence a setting and kind."""
    lines = [
        f"{one_line(row.label, _MAX_NAME)}: {text}"
        for row in rows
        for text in (_sentence("prompts", row.prompt), _sentence("outputs", row.output))
        if text
    ]
    more = len(lines) - _MAX_LINES
    return lines if more <= 0 else [*lines[:_MAX_LINES], f"and {more} more"]


def _sentence(what: str, error: LengthError | None) -> str:
    if error is None:
        return ""
    within = f"{strict_percent(error.within)} {share_interval(error.within_ci95, strict=True)}"
    return (
        f"{what} of {error.measured:,.0f} tokens on average, {error.wanted:,.0f} asked for "
        f"(mean error {_error(error)}); "
        f"{within.strip()} of {plural(error.requests, 'request')} within 2 %"
    )


def _error(error: LengthError) -> str:
    """``−0.1 % [−0.2, +0.1]``."""
    if error.error is None:
        return "unknown"
    ends = error.error_ci95
    interval = "" if ends is None else f" [{_percent(ends[0])}, {_percent(ends[1])}]"
    return f"{_percent(error.error)} %{interval}"


def _percent(share: float) -> str:
    """``−0.1``; no sign before 0.0."""
    text = f"{100.0 * share:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", MINUS)


def _console(report: ReportData, width: int) -> ConsolePart:
    lines = workload_lines(report[WORKLOAD])
    return ConsolePart([HEADING, *(f"  {line}" for line in lines)] if lines else [])


def _markdown(report: ReportData) -> list[str]:
    lines = workload_lines(report[WORKLOAD])
    return [f"**{HEADING}**\n\n{bullet_list(lines)}"] if lines else []


class _View(NamedTuple):
    lines: list[str]


def _view(context: PageContext) -> _View | None:
    lines = workload_lines(context.report[WORKLOAD])
    return _View(lines) if lines else None


WORKLOAD: Section[list[WorkloadLengths]] = Section(
    "workload_lengths",
    list[WorkloadLengths],
    _build,
    title="lengths that a synthetic workload asked for, and those measured, by setting",
    console=_console,
    markdown=_markdown,
    page=PagePart(
        anchor="workload",
        link="Lengths",
        heading=HEADING,
        template='{% if view %}<ul class="plain">{% for line in view.lines %}<li><bdi>{{ line }}'
        "</bdi></li>{% endfor %}</ul>{% endif %}",
        view=_view,
    ),
)
