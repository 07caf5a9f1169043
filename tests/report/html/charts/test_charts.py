"""The charts of a run: what is drawn, and what is not."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from evalharness.report.build.report_data import Report
from evalharness.report.html import render_report, start_engine
from evalharness.report.html.charts import report_charts
from evalharness.report.html.series import series_of
from evalharness.report.html.svg import render_plots
from tests.report import runs


def test_every_plot_of_every_run_can_be_drawn(sweep: Report, hostile: Report) -> None:
    """No specification is refused; drawings hold no script, style, link or label of the renderer."""
    for built in (sweep, hostile):
        series = series_of(built.data["settings"])
        sections = report_charts(built.data, series).items()
        charts = {f"{name}{i}": chart for name, part in sections for i, chart in enumerate(part)}
        plots = render_plots({name: chart.spec for name, chart in charts.items()}, start_engine())
        assert list(plots) == list(charts)
        for name, drawn in plots.items():
            assert drawn.startswith("<svg")
            for forbidden in ("<script", "<style", "<a ", "style=", "href", "aria-label", "onl"):
                assert forbidden not in drawn
            assert charts[name].title
            assert charts[name].caption


def test_sweeps_of_two_axes_get_curves_and_a_heat_map(sweep: Report) -> None:
    """Each known figure is drawn both ways, with n in its caption."""
    charts = report_charts(sweep.data, series_of(sweep.data["settings"]))["sweep"]
    rows = [chart.row for chart in charts if chart.row]
    assert rows == ["Against temperature", "By temperature and seed"]
    assert len(charts) == 2 * 5
    assert all("n\u00a0=\u00a040 prompts" in chart.caption for chart in charts)


def test_a_row_of_plots_has_one_legend(sweep: Report) -> None:
    """Four plots of the same lines do not repeat their legend four times."""
    charts = report_charts(sweep.data, series_of(sweep.data["settings"]))["sweep"]
    assert [len(c.row_legend) for c in charts if c.row] == [2, 0]
    assert not any(c.legend for c in charts)
    section = render_report(sweep.data).split('<section id="sweep">')[1].split("</section>")[0]
    assert section.count("<bdi>seed 7</bdi>") == 1


def test_what_never_changes_is_not_drawn(tmp_path: Path) -> None:
    """Outputs of one length everywhere are no plot: the table says it."""
    built = runs.sweep(tmp_path, 12, 3)
    drawn = report_charts(built.data, series_of(built.data["settings"]))
    assert "Output length" in {c.title for c in drawn["sweep"]}
    assert "Length of outputs" in {c.title for c in drawn["speed"]}
    for place in built.data["distributions"]:
        place["means"]["completion_tokens"].update(mean=7.0, ci95=None)
        place["completion_tokens"].update(dict.fromkeys(("p5", "p25", "p50", "p75", "p95"), 7.0))
    drawn = report_charts(built.data, series_of(built.data["settings"]))
    assert "Output length" not in {c.title for c in drawn["sweep"]}
    assert "Length of outputs" not in {c.title for c in drawn["speed"]}


def test_short_times_are_drawn_in_milliseconds(sweep: Report) -> None:
    """An axis in thousandths of a second is one nobody reads."""
    data = copy.deepcopy(sweep.data)
    for place in data["distributions"]:
        found = place["means"]["latency_s"]
        found.update(mean=found["mean"] / 100, ci95=[end / 100 for end in found["ci95"]])
    for made, unit in ((sweep.data, "s"), (data, "ms")):
        charts = report_charts(made, series_of(made["settings"]))
        heat = [c for c in charts["sweep"] if c.title == "Latency"][-1]
        assert heat.caption.startswith(f"mean latency ({unit})")
        first = next(p for p in made["distributions"] if p["setting_id"] == "s0")
        value = first["means"]["latency_s"]["mean"] * (1000 if unit == "ms" else 1)
        assert heat.spec["data"]["values"][0]["value"] == pytest.approx(value)


def test_no_caption_calls_a_colour_dark(sweep: Report) -> None:
    """On a dark page more is lighter: captions speak of strength."""
    captions = [c.caption for cs in report_charts(sweep.data, {}).values() for c in cs]
    assert any("the stronger the colour" in text for text in captions)
    assert not any("dark" in text for text in captions)


def test_points_of_a_few_pairs_are_not_drawn(sweep: Report) -> None:
    """One pair is 0 % or 100 %: it says nothing, and the caption says that it was left out."""
    data = copy.deepcopy(sweep.data)
    groups = data["breakdowns"][0]["time_gap"]
    many = next(g for g in groups if g["group"] != "unknown" and g["pairs"] >= 10)
    many.update(pairs=3, agreement=0.0)
    before, after = (
        next(c for c in report_charts(d, series_of(d["settings"]))["repeats"] if "apart" in c.title)
        for d in (sweep.data, data)
    )
    assert len(after.spec["data"]["values"]) == len(before.spec["data"]["values"]) - 1
    assert "fewer than 10 pairs" in after.caption
