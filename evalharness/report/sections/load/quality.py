"""Score and agreement of each load point, beside its rates and times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from evalharness.analysis.summary import SettingSummary
from evalharness.report.build.load_data import LoadData
from evalharness.report.html import palette
from evalharness.report.html.charts import chart_parts
from evalharness.report.html.charts.chart_parts import Chart, Spec
from evalharness.report.html.series import Series
from evalharness.report.words.format_numbers import DASH, percent, share_interval

QUALITY_HEADINGS = (
    "load point", "score\n[95% CI]", "scored", "same text\n[95% CI]", "prompts", "ok %",
)  # fmt: skip


class PointQuality(NamedTuple):
    """The answers of one setting at one load point; null is unknown.

    ``in_flight`` is the mean over the window.
    """

    label: str
    in_flight: float | None
    setting: SettingSummary


def point_quality(data: LoadData, settings: Sequence[SettingSummary]) -> list[PointQuality]:
    """What is known of the answers of each load point, in the order of the points.

    Of a search or a sweep that is the point which stands for its settings.
    """
    by_id = {setting.setting_id: setting for setting in settings}
    steps = {number for sweep in data.sweeps for number in sweep.measurements}
    hidden = steps - {sweep.shown_measurement for sweep in data.sweeps}
    shown_rates = {id_: s.shown_rate for s in data.searches for id_ in s.settings}
    rows: list[PointQuality] = []
    for point in data.points:
        if point.measurement in hidden:
            continue
        for each in point.settings:
            rate = shown_rates.get(each.setting_id)
            setting = by_id.get(each.setting_id)
            if setting is None or (rate is not None and point.load.get("rate") != rate):
                continue
            several = len(point.settings) > 1
            label = f"{point.label}: {each.label}" if several else point.label
            rows.append(PointQuality(label, point.concurrency.mean, setting))
    return rows


def has_quality(rows: Sequence[PointQuality]) -> bool:
    """Whether anything is scored, or asked more than once."""
    return any(
        row.setting.score.mean is not None or row.setting.agreement.raw.pairwise is not None
        for row in rows
    )


def quality_rows(rows: Sequence[PointQuality]) -> list[list[str]]:
    """A row a load point and setting, by :data:`QUALITY_HEADINGS`."""
    return [_row(row) for row in rows]


def _row(row: PointQuality) -> list[str]:
    score, agreement = row.setting.score, row.setting.agreement.raw
    ok = row.setting.status_share.get("ok")
    return [
        row.label,
        f"{percent(score.mean)} {share_interval(score.ci95)}".strip(),
        f"{score.n:,}",
        f"{percent(agreement.pairwise)} {share_interval(agreement.ci95)}".strip(),
        f"{agreement.prompts:,}" if agreement.pairwise is not None else DASH,
        percent(ok),
    ]


def quality_chart(rows: Sequence[PointQuality]) -> Chart | None:
    """Score and agreement against the requests in flight; None of fewer than two points."""
    looks = [
        Series(key="score", label="score", colour=palette.SERIES[0], dash=(1, 0), shape="circle"),
        Series(
            key="same", label="same text", colour=palette.SERIES[1], dash=(5, 3), shape="square"
        ),
    ]
    values: list[Spec] = []
    for row in rows:
        if row.in_flight is None:
            continue
        agreement = row.setting.agreement.raw
        for key, value, ci in (
            ("score", row.setting.score.mean, row.setting.score.ci95),
            ("same", agreement.pairwise, agreement.ci95),
        ):
            low, high = chart_parts.clip_interval(ci)
            if value is not None:
                values.append(
                    {"x": row.in_flight, "value": value, "key": key, "low": low, "high": high}
                )
    shown = [look for look in looks if sum(v["key"] == look.key for v in values) > 1]
    values = [v for v in values if v["key"] in {look.key for look in shown}]
    if not values:
        return None
    x = chart_parts.quantity("x", "requests in flight, mean")
    y = chart_parts.share("value", "share")
    spec = chart_parts.with_points(chart_parts.lines(values, shown, x, y), shown)
    spec = {**chart_parts.with_intervals(spec, shown), "width": 450}
    caption = "a mark a load point; bars: 95 % intervals over prompts"
    return Chart("Quality under load", caption, spec, tuple(shown), wide=True)
