"""The charts of a run: what is drawn, and what is not."""

from __future__ import annotations

from evalharness.report.build_report import Report
from evalharness.report.html.charts.chart_parts import Chart
from evalharness.report.html.svg import render_plots
from evalharness.report.html_report import (
    page_context,
    part_contents,
    render_report,
    start_engine,
)


def _charts(report: Report) -> dict[str, Chart]:
    contents = part_contents(page_context(report.data))
    return {f"{c.part.anchor}{i}": chart for c in contents for i, chart in enumerate(c.charts)}


def test_every_plot_of_every_run_can_be_drawn(sweep: Report, hostile: Report) -> None:
    """No specification is refused; drawings hold no script, style, link or label of the renderer."""
    for built in (sweep, hostile):
        charts = _charts(built)
        plots = render_plots({name: chart.spec for name, chart in charts.items()}, start_engine())
        assert list(plots) == list(charts)
        for name, drawn in plots.items():
            assert drawn.startswith("<svg")
            for forbidden in ("<script", "<style", "<a ", "style=", "href", "aria-label", "onl"):
                assert forbidden not in drawn
            assert charts[name].title
            assert charts[name].caption


def test_a_row_of_plots_has_one_legend(sweep: Report) -> None:
    """Four plots of the same lines do not repeat their legend four times."""
    section = render_report(sweep.data).split('<section id="sweep">')[1].split("</section>")[0]
    assert section.count("<bdi>seed 7</bdi>") == 1


def test_no_caption_calls_a_colour_dark(sweep: Report) -> None:
    """On a dark page more is lighter: captions speak of strength."""
    captions = [chart.caption for chart in _charts(sweep).values()]
    assert any("the stronger the colour" in text for text in captions)
    assert not any("dark" in text for text in captions)
