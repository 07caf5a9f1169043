"""The judgings of a run: agreement, preference and cost."""

from __future__ import annotations

from evalharness.report.build.context import BuildContext
from evalharness.report.section import ConsolePart, PageContext, PagePart, ReportData, Section
from evalharness.report.sections.judges.judge_text import judge_lines
from evalharness.report.sections.judges.judging_summary import JudgingSummary, summarise_judgings
from evalharness.report.words.markdown_text import bullet_list


def _build(context: BuildContext) -> list[JudgingSummary]:
    return summarise_judgings(context.run_data.run)


def _lines(report: ReportData) -> list[str]:
    return [line for summary in report[JUDGES] for line in judge_lines(summary)]


def _console(report: ReportData, _: int) -> ConsolePart:
    lines = _lines(report)
    return ConsolePart(["Judges", *(f"  {line}" for line in lines)] if lines else [])


def _markdown(report: ReportData) -> list[str]:
    lines = _lines(report)
    return [f"**Judges**\n\n{bullet_list([line.strip() for line in lines])}"] if lines else []


def _view(context: PageContext) -> list[list[str]] | None:
    """The lines of each judging."""
    return [judge_lines(summary) for summary in context.report[JUDGES]] or None


_TEMPLATE = """\
{% for lines in view %}<ul class="plain quiet">{% for line in lines %}<li><bdi>{{ line }}</bdi></li>{% endfor %}</ul>{% endfor %}
"""  # noqa: E501 — a list is one line of the page

JUDGES: Section[list[JudgingSummary]] = Section(
    "judges",
    list[JudgingSummary],
    _build,
    title="agreement, preference and cost of each judging",
    console=_console,
    markdown=_markdown,
    page=PagePart(anchor="judges", link="Judges", heading="Judges", template=_TEMPLATE, view=_view),
)
