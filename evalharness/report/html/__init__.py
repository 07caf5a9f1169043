"""``report --html``: data → view → one self-contained file that opens from disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalharness.store.folder.durable_files import FILE_MODE, publish_bytes

if TYPE_CHECKING:
    from evalharness.report.build.report_data import Built
    from evalharness.report.html.engine import Engine

PAGE = "report.html"  # in a run folder


def warm() -> Engine:
    """Start what draws the plots, so that it is ready when the figures are.

    It works in a process of its own. Give it to :func:`write_html`, or ``close()`` it.
    """
    from evalharness.report.html.engine import Engine

    return Engine()


def write_html(
    built: Built, target: Path, *, mode: int = FILE_MODE, engine: Engine | None = None
) -> None:
    """Write the report of one run as one HTML file; the file appears whole or not at all.

    Others may not read it unless ``mode``, of which the umask takes, lets them. ``engine`` is what
    :func:`warm` gave, for one page.

    Raises:
        StorageError: the disk refused.
    """
    publish_bytes(target, as_html(built.data, engine).encode("utf-8"), mode=mode)


def as_html(data: dict[str, Any], engine: Engine | None = None) -> str:
    """The page made from the JSON of ``report --json``."""
    from markupsafe import Markup

    from evalharness.report.html.charts import charts_of
    from evalharness.report.html.page import render_page
    from evalharness.report.html.svg import render
    from evalharness.report.html.view import view_of

    view, series = view_of(data)
    sections = charts_of(data, series)
    specs = {
        f"{section}{i}": chart.spec
        for section, charts in sections.items()
        for i, chart in enumerate(charts)
    }
    plots = render(specs, engine or warm())
    drawn = {
        section: [
            (chart, Markup(plots[f"{section}{i}"]))  # noqa: S704 — rebuilt by svg.py
            for i, chart in enumerate(charts)
        ]
        for section, charts in sections.items()
    }
    return render_page("report.html.j2", view=view, drawn=drawn)


def write_prompt_html(built: Built, prompt_id: str, target: Path, *, mode: int = FILE_MODE) -> None:
    """Write one prompt with all its outputs as a page of its own.

    Raises:
        ConfigError: the run has no such prompt.
        StorageError: the disk refused.
    """
    from evalharness.errors import ConfigError
    from evalharness.report.build.prompts import PAGE_VARIANTS, by_setting, described
    from evalharness.report.html.page import render_page
    from evalharness.report.html.view import prompt_page_view

    if prompt_id not in built.frame.prompt_ids:
        raise ConfigError(
            f"run `{built.run.name}` has no prompt `{prompt_id}`",
            hint=f"for instance: {', '.join(built.frame.prompt_ids[:3])}",
        )
    (prompt,) = described(built.run, built.frame, [prompt_id], PAGE_VARIANTS)
    view = prompt_page_view(prompt, by_setting(built.frame, prompt_id))
    page = render_page("prompt.html.j2", p=view, run=built.data["run"])
    publish_bytes(target, page.encode("utf-8"), mode=mode)
