"""``report --html``: one self-contained page that opens from disk, made from the report's JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalharness.store.folder.durable_files import FILE_MODE, write_bytes_durably

if TYPE_CHECKING:
    from evalharness.report.build.report_data import Report
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


def render_report(data: dict[str, Any], engine: Engine | None = None) -> str:
    """Render the page from the JSON of ``report --json``."""
    from markupsafe import Markup

    from evalharness.report.html.charts import report_charts
    from evalharness.report.html.page import render_page
    from evalharness.report.html.svg import render_plots
    from evalharness.report.html.view import page_view

    view, series = page_view(data)
    sections = report_charts(data, series)
    specs = {
        f"{section}{i}": chart.spec
        for section, charts in sections.items()
        for i, chart in enumerate(charts)
    }
    svgs = render_plots(specs, engine or start_engine())
    plots = {
        section: [
            (chart, Markup(svgs[f"{section}{i}"]))  # noqa: S704 — rebuilt by svg.py
            for i, chart in enumerate(charts)
        ]
        for section, charts in sections.items()
    }
    return render_page("report.html.j2", view=view, plots=plots)


def write_prompt_html(
    report: Report, prompt_id: str, target: Path, *, mode: int = FILE_MODE
) -> None:
    """Write one prompt with all its outputs as a page of its own.

    Raises:
        ConfigError: the run has no such prompt.
        StorageError: the file cannot be written.
    """
    from evalharness.errors import ConfigError
    from evalharness.report.build.prompts import (
        MAX_PAGE_VARIANTS,
        describe_prompts,
        outcomes_by_setting,
    )
    from evalharness.report.html.page import render_page
    from evalharness.report.html.view import prompt_page_view

    if prompt_id not in report.frame.prompt_ids:
        raise ConfigError(
            f"run `{report.run.name}` has no prompt `{prompt_id}`",
            hint=f"for instance: {', '.join(report.frame.prompt_ids[:3])}",
        )
    (prompt,) = describe_prompts(report.run, report.frame, [prompt_id], MAX_PAGE_VARIANTS)
    view = prompt_page_view(prompt, outcomes_by_setting(report.frame, prompt_id))
    page = render_page("prompt.html.j2", p=view, run=report.data["run"])
    write_bytes_durably(target, page.encode("utf-8"), mode=mode)
