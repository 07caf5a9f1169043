"""``report --html``: one self-contained page that opens from disk, made from the report's data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from evalharness.report.registry import SECTIONS
from evalharness.report.section import PageContext, PagePart, ReportData
from evalharness.store.folder.durable_files import FILE_MODE, write_bytes_durably

if TYPE_CHECKING:
    from markupsafe import Markup

    from evalharness.report.build_report import Report
    from evalharness.report.html.charts.chart_parts import Chart
    from evalharness.report.html.engine import Engine

REPORT_FILE = "report.html"  # in a run folder


def start_engine() -> Engine:
    """Start the process that draws plots, while the figures are still computed.

    Give the engine to :func:`write_html`, or ``close()`` it.
    """
    from evalharness.report.html.engine import Engine

    return Engine()


def write_html(
    report: Report, target: Path, *, mode: int = FILE_MODE, engine: Engine | None = None
) -> None:
    """Write the report of one run as one HTML file; the file appears whole or not at all.

    Args:
        report: the report.
        target: the file.
        mode: its permissions, reduced by the umask.
        engine: from :func:`start_engine`, and not used before; None starts one.

    Raises:
        StorageError: the file cannot be written.
    """
    write_bytes_durably(target, render_report(report.data, engine).encode("utf-8"), mode=mode)


class PartContent(NamedTuple):
    """A part of the page with what it shows."""

    part: PagePart
    view: Any
    charts: list[Chart]


def render_report(report: ReportData, engine: Engine | None = None) -> str:
    """Render the page: the parts of all sections in the registry's order."""
    from evalharness.report.html.page import render_page
    from evalharness.report.sections.headline.facts import run_facts
    from evalharness.report.sections.run import RUN

    return render_page(
        "report.html.j2",
        title=report[RUN].name,
        facts=run_facts(report),
        parts=render_parts(report, engine),
    )


def render_parts(report: ReportData, engine: Engine | None = None) -> list[tuple[PagePart, Markup]]:
    """The parts of the page that have something to show, in the registry's order."""
    from evalharness.report.html.page import render_part

    context = page_context(report)
    contents = part_contents(context)
    drawings = _draw(contents, engine or start_engine())
    return [
        (
            content.part,
            render_part(
                content.part.template,
                view=content.view,
                charts=charts,
                series=list(context.series.values()),
                left_out=context.left_out,
                run_argument=report.run_argument,
            ),
        )
        for content, charts in zip(contents, drawings, strict=True)
    ]


def page_context(report: ReportData) -> PageContext:
    """The report, and how its settings are drawn."""
    from evalharness.report.html.series import series_of
    from evalharness.report.sections.leaders import LEADERS
    from evalharness.report.sections.settings.section import SETTINGS

    first = [leader.setting_id for leader in report[LEADERS].values() if leader is not None]
    series = series_of(report[SETTINGS], first)
    return PageContext(report, series, len(report[SETTINGS]) - len(series))


def part_contents(context: PageContext) -> list[PartContent]:
    """The parts that have something to show."""
    pages = [section.page for section in SECTIONS if section.page is not None]
    contents = [PartContent(part, part.view(context), part.charts(context)) for part in pages]
    return [content for content in contents if content.view is not None or content.charts]


def _draw(contents: list[PartContent], engine: Engine) -> list[list[tuple[Chart, Any]]]:
    """The charts of each part with their drawings, all drawn together."""
    from markupsafe import Markup

    from evalharness.report.html.svg import render_plots

    specs = {
        f"{content.part.anchor}{i}": chart.spec
        for content in contents
        for i, chart in enumerate(content.charts)
    }
    drawings = render_plots(specs, engine)
    return [
        [
            (chart, Markup(drawings[f"{content.part.anchor}{i}"]))  # noqa: S704 — made by svg.py
            for i, chart in enumerate(content.charts)
        ]
        for content in contents
    ]


def write_prompt_html(
    report: Report, prompt_id: str, target: Path, *, mode: int = FILE_MODE
) -> None:
    """Write one prompt with all its outputs as a page of its own.

    Raises:
        ConfigError: the run has no such prompt.
        StorageError: the file cannot be written.
    """
    from evalharness.errors import ConfigError
    from evalharness.report.build.prompt_variants import MAX_PAGE_VARIANTS, outcomes_by_setting
    from evalharness.report.build.prompts import describe_prompts
    from evalharness.report.html.page import render_page
    from evalharness.report.sections.prompts.prompt_view import prompt_page_view

    if prompt_id not in report.frame.prompt_ids:
        raise ConfigError(
            f"run `{report.run.name}` has no prompt `{prompt_id}`",
            hint=f"for instance: {', '.join(report.frame.prompt_ids[:3])}",
        )
    (prompt,) = describe_prompts(report.run, report.frame, [prompt_id], MAX_PAGE_VARIANTS)
    view = prompt_page_view(prompt, outcomes_by_setting(report.frame, prompt_id))
    argument = report.data.run_argument
    page = render_page("prompt.html.j2", p=view, run_name=report.run.name, run_argument=argument)
    write_bytes_durably(target, page.encode("utf-8"), mode=mode)
