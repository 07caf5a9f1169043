"""Plots of conversations: each figure over the turns, a line for each setting."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from evalharness.analysis.latency import Durations
from evalharness.analysis.turns import SettingTurns, TurnFigures, TurnMean
from evalharness.report.html.charts import chart_parts
from evalharness.report.html.charts.chart_parts import Chart, Spec
from evalharness.report.html.series import Series


class _Point(NamedTuple):
    """A figure of one turn with its interval; None is unknown."""

    value: float | None
    low: float | None
    high: float | None


def turn_charts(settings: Sequence[SettingTurns], series: Mapping[str, Series]) -> list[Chart]:
    """The plots; those without a value are left out."""
    charts = [
        _chart(settings, series, "First token by turn", "seconds, median", _of_times(_ttft)),
        _chart(settings, series, "Latency by turn", "seconds, median", _of_times(_latency)),
        _chart(
            settings, series, "Prompt tokens by turn", "tokens, mean",
            lambda turn: _of_mean(turn.prompt_tokens),
        ),
        _chart(
            settings, series, "Cached prompt tokens by turn", "share of prompt tokens",
            lambda turn: _of_mean(turn.cached_share), is_share=True,
        ),
    ]  # fmt: skip
    return [chart for chart in charts if chart is not None]


def _ttft(turn: TurnFigures) -> Durations:
    return turn.ttft_s


def _latency(turn: TurnFigures) -> Durations:
    return turn.latency_s


def _of_times(times_of: Callable[[TurnFigures], Durations]) -> Callable[[TurnFigures], _Point]:
    def point(turn: TurnFigures) -> _Point:
        times = times_of(turn)
        low, high = (None, None) if times.ci95 is None or times.ci95.p50 is None else times.ci95.p50
        return _Point(times.p50, low, high)

    return point


def _of_mean(mean: TurnMean) -> _Point:
    low, high = mean.ci95 or (None, None)
    return _Point(mean.mean, low, high)


def _chart(
    settings: Sequence[SettingTurns],
    series: Mapping[str, Series],
    title: str,
    axis: str,
    point_of: Callable[[TurnFigures], _Point],
    *,
    is_share: bool = False,
) -> Chart | None:
    drawn = [setting for setting in settings if setting.setting_id in series]
    looks = [series[setting.setting_id] for setting in drawn]
    values: list[Spec] = []
    for look, setting in zip(looks, drawn, strict=True):
        for turn in setting.turns:
            value, low, high = point_of(turn)
            if value is not None:
                ends = {
                    "low": value if low is None else low,
                    "high": value if high is None else high,
                }
                values.append({"x": turn.turn, "key": look.key, "value": value, **ends})
    if not values:
        return None
    channel = (
        chart_parts.share("value", axis)
        if is_share
        else chart_parts.quantity("value", axis, scale={"zero": True})
    )
    numbers = sorted({value["x"] for value in values})
    x = chart_parts.quantity(
        "x", "turn", axis={"values": numbers[:: max(1, len(numbers) // 10)], "format": "d"},
        scale={"zero": False, "padding": 12},
    )  # fmt: skip
    spec = chart_parts.with_points(chart_parts.lines(values, looks, x, channel), looks)
    sizes = chart_parts.range_text(turn.answers for setting in drawn for turn in setting.turns)
    caption = f"n\u00a0=\u00a0{sizes} answers a turn; 95 % intervals over conversations"
    return Chart(
        title, caption, chart_parts.with_intervals(spec, looks),
        settings=tuple(looks) if len(looks) > 1 else (),
    )  # fmt: skip
