"""Plots as files: for papers, slides and notebooks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from evalharness.errors import ConfigError
from evalharness.report.html_report import page_context, part_contents
from evalharness.report.plot_files import plots_of, write_plots
from tests.report.runs import hostile

SVG = "{http://www.w3.org/2000/svg}"


def test_each_plot_of_the_page_is_a_file_of_its_own(tmp_path: Path) -> None:
    """In each format, with a title and a legend in it, and nothing that runs or is fetched."""
    report = hostile(tmp_path).data
    (tmp_path / "plots").mkdir()
    paths = write_plots(report, tmp_path / "plots")
    contents = part_contents(page_context(report))
    charts = [chart for content in contents for chart in content.charts]
    assert len({path.name for path in paths}) == len(paths) == 3 * len(charts) > 0
    for path in paths:
        assert path.name.split(".")[0].replace("-", "").isalnum()
        content = path.read_bytes()
        if path.suffix == ".png":
            assert content.startswith(b"\x89PNG\r\n")
        elif path.suffix == ".svg":
            drawn = ElementTree.fromstring(content)
            tags = {element.tag for element in drawn.iter()}
            assert not tags & {f"{SVG}{name}" for name in ("script", "image", "a", "foreignObject")}
        else:
            spec = json.loads(content)
            assert spec["$schema"].startswith("https://vega.github.io/schema/vega-lite/")
            assert spec["title"]["text"]
            assert '"url"' not in content.decode()


def test_a_plot_says_which_line_is_which(tmp_path: Path) -> None:
    """The page has one legend a section; a file has its own, under every plot of settings."""
    report = hostile(tmp_path).data
    labels = [series.label for series in page_context(report).series.values()]
    named = [
        [value["label"] for value in plot.spec["vconcat"][1]["data"]["values"]]
        for plot in plots_of(report)
        if plot.name.startswith("time-latency")
    ]
    assert named == [labels]


def test_formats_can_be_chosen_and_unknown_ones_are_refused(tmp_path: Path) -> None:
    """Vega-Lite alone needs no drawing."""
    report = hostile(tmp_path).data
    assert {p.suffix for p in write_plots(report, tmp_path, formats=["vega"])} == {".json"}
    with pytest.raises(ConfigError, match="no format 'pdf'"):
        write_plots(report, tmp_path, formats=["pdf"])


def test_the_command_writes_them_beside_its_output(tmp_path: Path) -> None:
    """`report RUN --plots DIR --json`: stdout stays JSON; a folder that cannot be is exit 2."""
    folder = hostile(tmp_path).run.root
    command = [sys.executable, "-m", "evalharness", "report", str(folder), "--json", "--plots"]
    done = subprocess.run([*command, str(tmp_path / "out")], capture_output=True, check=True)
    assert json.loads(done.stdout)["run"]
    assert list((tmp_path / "out").glob("*.svg"))
    refused = subprocess.run([*command, str(tmp_path / "no" / "out")], capture_output=True)
    assert refused.returncode == 2
    assert b"mkdir -p" in refused.stderr
