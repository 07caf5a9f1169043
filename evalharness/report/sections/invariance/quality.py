"""The score under load against the score under the lightest load."""

from __future__ import annotations

from collections.abc import Sequence

from evalharness.analysis.comparison.comparison import is_significant
from evalharness.analysis.invariance.conditions import condition_groups
from evalharness.analysis.invariance.quality import QualityUnderLoad, quality_under_load
from evalharness.process.text import plural
from evalharness.report.build.context import BuildContext
from evalharness.report.section import ConsolePart, PageContext, PagePart, ReportData, Section
from evalharness.report.words.format_numbers import (
    difference_interval,
    metric_difference,
    metric_size,
    p_value,
)
from evalharness.report.words.markdown_text import bullet_list
from evalharness.report.words.sanitize import one_line

HEADING = "Quality under load"
_MAX_NAME = 60  # characters of a load
_MAX_LINES = 12


def _build(context: BuildContext) -> list[QualityUnderLoad]:
    if context.run_data.load.data is None:
        return []
    frame = context.run_data.frame
    return quality_under_load(frame, condition_groups(frame))


def heaviest(rows: Sequence[QualityUnderLoad]) -> QualityUnderLoad | None:
    """The load with the most in flight; of equal ones the largest difference."""
    if not rows:
        return None
    return max(rows, key=lambda row: (row.in_flight or 0, abs(row.difference or 0.0)))


def loads_text(row: QualityUnderLoad) -> str:
    """``64 in flight against 1``, or the names of the two loads."""
    names = [one_line(name, _MAX_NAME) for name in (row.condition, row.base)]
    if row.condition == f"{row.in_flight} in flight" and row.base_in_flight is not None:
        names[1] = str(row.base_in_flight)
    label = f" ({one_line(row.label, _MAX_NAME)})" if row.label else ""
    return f"{names[0]} against {names[1]}{label}"


def difference_text(row: QualityUnderLoad) -> str:
    """``−0.4 pp [−1.9, +1.0]``."""
    interval = difference_interval("score", row.ci95)
    return f"{metric_difference('score', row.difference)} {interval}"


def size_text(row: QualityUnderLoad) -> str:
    """What the difference rests on."""
    detectable = "not estimable" if row.mde is None else metric_size("score", row.mde)
    p = "" if row.p_adjusted is None else f"{p_value(row.p_adjusted)}; "
    return (
        f"{p}{plural(row.prompts, 'prompt')} × {plural(row.repeats, 'repeat')}, detectable: "
        f"{detectable}"
    )


def is_detected(row: QualityUnderLoad) -> bool:
    """Whether the score under load differs detectably."""
    return is_significant(row.p_adjusted)


def _lines(report: ReportData) -> list[str]:
    return [
        f"score ({one_line(row.scorer, _MAX_NAME)}) at {loads_text(row)}: {difference_text(row)} "
        f"({size_text(row)})."
        for row in report[QUALITY]
    ]


def _console(report: ReportData, _: int) -> ConsolePart:
    lines = _lines(report)
    if not lines:
        return ConsolePart([])
    more = len(lines) - _MAX_LINES
    rest = [f"  {more} more: evalharness report {report.run_argument} --json"] if more > 0 else []
    return ConsolePart([HEADING, *(f"  {line}" for line in lines[:_MAX_LINES]), *rest])


def _markdown(report: ReportData) -> list[str]:
    lines = _lines(report)
    return [f"**{HEADING}**\n\n{bullet_list(lines, _MAX_LINES)}"] if lines else []


def _view(context: PageContext) -> list[str] | None:
    return _lines(context.report) or None


QUALITY: Section[list[QualityUnderLoad]] = Section(
    "quality_under_load",
    list[QualityUnderLoad],
    _build,
    title="the score under each load against the lightest, paired by prompt",
    console=_console,
    markdown=_markdown,
    page=PagePart(
        anchor="quality-under-load",
        link=HEADING,
        heading=HEADING,
        template='{% if view %}<ul class="plain">{% for line in view %}<li><bdi>{{ line }}</bdi>'
        '</li>{% endfor %}</ul><p class="note">Paired by prompt; 95 % intervals in brackets; p '
        "adjusted for all loads (Holm).</p>{% endif %}",
        view=_view,
    ),
)
