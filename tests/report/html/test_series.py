"""Colours, dashes and shapes of the settings."""

from __future__ import annotations

import itertools
from pathlib import Path

from msgspec.structs import replace

from evalharness.report.build_report import Report
from evalharness.report.html.series import MAX_SERIES, axes_of, series_of
from evalharness.report.sections.settings.section import SETTINGS
from tests.report import runs


def test_series_with_two_axes_share_colours_and_dashes(sweep: Report) -> None:
    """The colour follows the longer axis, the dash the other; no two settings look alike."""
    found = series_of(sweep.data[SETTINGS])
    looks = {(s.colour, s.dash) for s in found.values()}
    assert len(looks) == len(found) == 8
    assert len({s.colour for s in found.values()}) == 4
    assert [axis.name for axis in axes_of(sweep.data[SETTINGS])] == ["temperature", "seed"]


def test_a_few_settings_differ_in_more_than_colour(tmp_path: Path) -> None:
    """Whoever cannot tell the colours of neighbours apart has dashes and shapes."""
    found = list(series_of(runs.sweep(tmp_path, 3, 6).data[SETTINGS]).values())
    assert len({s.colour for s in found}) == 6
    assert all(a.dash != b.dash and a.shape != b.shape for a, b in itertools.pairwise(found))


def test_no_more_lines_than_can_be_told_apart(sweep: Report) -> None:
    """Beyond twelve settings some are left out; the named ones never are."""
    first = sweep.data[SETTINGS][0]
    rows = [
        replace(first, setting_id=f"s{i}", label=f"T={i}", axes={"temperature": i}, params={})
        for i in range(40)
    ]
    found = series_of(rows, ["s17", "s31"])
    assert len(found) == MAX_SERIES
    assert {"s17", "s31", "s0", "s39"} <= set(found)
