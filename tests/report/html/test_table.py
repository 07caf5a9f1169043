"""The table of settings: its columns and marks."""

from __future__ import annotations

import copy
from pathlib import Path

from evalharness.report.build.report_data import Report
from evalharness.report.html.table import leading_settings, settings_table
from tests.report import runs


def test_the_best_is_marked_only_where_something_is_worse(sweep: Report) -> None:
    """A leading group that holds every setting marks none."""
    leaders = sweep.data["leaders"]
    assert leading_settings(leaders, "agreement") == set(leaders["agreement"]["group"])
    everyone = {
        **leaders["score"],
        "group": [row["setting_id"] for row in sweep.data["settings"]],
    }
    assert leading_settings({"score": everyone}, "score") == set()
    assert leading_settings({"score": None}, "score") == set()


def test_columns_without_any_figure_are_left_out(sweep: Report) -> None:
    """No column of dashes: answers were not parsed, nothing was billed."""
    headings = [(c.group, c.heading) for c in settings_table(sweep.data).columns]
    assert ("Repeatability", "same answer") not in headings
    assert ("Cost", "billed") not in headings
    assert ("Latency", "p99") in headings


def test_a_percentile_that_is_withheld_says_of_how_many(tmp_path: Path) -> None:
    """Below 100 answers the column of p99 holds a dash and n, not nothing."""
    for prompts, shown in ((10, False), (40, True)):
        table = settings_table(runs.sweep(tmp_path / str(prompts), prompts, 1).data)
        place = [c.heading for c in table.columns].index("p99")
        cell = table.rows[0][1][place]
        assert cell.detail == f"n\u00a0=\u00a0{3 * prompts}"
        assert (cell.text != "—") is shown


def test_tokens_that_never_occur_take_no_column(sweep: Report) -> None:
    """Nothing was cached: no column of zeros."""
    data = copy.deepcopy(sweep.data)
    headings = {c.heading for c in settings_table(data).columns}
    assert not {"cached", "reasoning"} & headings
    data["settings"][0]["tokens"]["cached_tokens"].update(mean=0.0)
    assert "cached" not in {c.heading for c in settings_table(data).columns}
    data["settings"][0]["tokens"]["cached_tokens"].update(mean=2.0)
    assert "cached" in {c.heading for c in settings_table(data).columns}
