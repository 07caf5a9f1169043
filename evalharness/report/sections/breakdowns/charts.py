"""Plots of repeatability: by number of repeats, over prompts, by length and time between."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from evalharness.analysis.agreement.breakdowns import Breakdown, PairGroup
from evalharness.analysis.distributions import Distribution
from evalharness.analysis.summary import SettingSummary
from evalharness.report.html import palette
from evalharness.report.html.charts import chart_parts
from evalharness.report.html.charts.chart_parts import Chart, Spec
from evalharness.report.html.series import Series

MIN_PAIRS = 10  # for a point: fewer say next to nothing
MAX_BARS = 30  # settings in the distribution plot
_CLASSES = (
    ("all repeats alike", palette.HEAT[6]),
    ("half of the pairs or more", palette.HEAT[4]),
    ("fewer", palette.HEAT[2]),
    ("no two alike", palette.HEAT[0]),
)


class GroupPlot(msgspec.Struct, frozen=True):
    """A plot of agreement by a group that pairs of repeats belong to.

    Attributes:
        title: of the plot.
        axis: the title of its axis.
        groups: its table in a breakdown.
    """

    title: str
    axis: str
    groups: Callable[[Breakdown], list[PairGroup]]


_GROUP_PLOTS = (
    GroupPlot(
        "Same text by output length",
        "characters, the longer output",
        lambda part: part.output_length,
    ),
    GroupPlot("Same text by time apart", "time between the two", lambda part: part.time_gap),
)


def repeat_charts(
    settings: Sequence[SettingSummary],
    distributions: Sequence[Distribution],
    breakdowns: Sequence[Breakdown],
    series: Mapping[str, Series],
) -> list[Chart]:
    """TAR@k, the distribution over prompts, and agreement by output length and time between."""
    looks = [series.get(row.setting_id) for row in settings]
    drawn = [(part, look) for part, look in zip(breakdowns, looks, strict=True) if look is not None]
    charts = [
        _tar(settings, series),
        _per_prompt(settings, distributions),
        *(_by_group(drawn, series, plot) for plot in _GROUP_PLOTS),
    ]
    return [chart for chart in charts if chart is not None]


def _tar(settings: Sequence[SettingSummary], series: Mapping[str, Series]) -> Chart | None:
    values: list[Spec] = []
    sizes: set[int] = set()
    for row in settings:
        look, raw = series.get(row.setting_id), row.agreement.raw
        if look is None:
            continue
        sizes |= set(raw.tar_prompts.values())
        values += [
            {"k": int(k), "value": rate, "key": look.key}
            for k, rate in raw.tar.items()
            if rate is not None
        ]
    ks = sorted({value["k"] for value in values})
    if len(ks) < 2:
        return None
    shown = list(series.values())
    x = chart_parts.quantity(
        "k", "k repeats",
        axis={"values": ks if len(ks) <= 10 else None, "format": "d"}, scale={"zero": False},
    )  # fmt: skip
    spec = chart_parts.lines(
        values, shown, x, chart_parts.share("value", "prompts with all k alike")
    )
    caption = f"TAR@k; {chart_parts.prompts_caption(sizes)}"
    return Chart(
        "Chance that k repeats are all alike",
        caption,
        chart_parts.with_points(spec, shown),
        settings=tuple(shown),
    )


def _agreement_class(agreement: float) -> int:
    if agreement >= 1:
        return 0
    if agreement <= 0:
        return 3
    return 1 if agreement >= 0.5 else 2


def _per_prompt(
    settings: Sequence[SettingSummary], distributions: Sequence[Distribution]
) -> Chart | None:
    """The agreement of single prompts: the mean hides whether all prompts vary or only a few."""
    values: list[Spec] = []
    names: list[str] = []
    sizes: set[int] = set()
    labels = chart_parts.names_for([row.label for row in settings[:MAX_BARS]], 26)
    for label, distribution in zip(labels, distributions, strict=False):
        counts = [0] * len(_CLASSES)
        for value, prompts in distribution.agreement:
            counts[_agreement_class(value)] += prompts
        total = sum(counts)
        if not total:
            continue
        sizes.add(total)
        names.append(label)
        values += [
            {"name": names[-1], "class": str(i), "share": count / total, "order": i}
            for i, count in enumerate(counts)
            if count
        ]
    if not values:
        return None
    spec = {
        "width": 130,
        "height": chart_parts.bar_step(len(names)),
        "data": {"values": values},
        "mark": {"type": "bar", "height": {"band": 0.72}},
        "encoding": {
            "y": chart_parts.name_axis(names),
            "x": {
                **chart_parts.share("share", "share of prompts"),
                "stack": "zero",
                "axis": {"format": ".0%", "values": [0, 0.5, 1]},
            },
            "order": {"field": "order"},
            "color": {
                "field": "class",
                "type": "nominal",
                "legend": None,
                "scale": {"domain": ["0", "1", "2", "3"], "range": [c for _, c in _CLASSES]},
            },
        },
    }
    legend = tuple(
        Series(key=str(i), label=name, colour=colour, dash=(), shape="square")
        for i, (name, colour) in enumerate(_CLASSES)
        if any(value["class"] == str(i) for value in values)
    )
    shown = f"; the first {MAX_BARS} of {len(settings)} settings"
    left_out = shown if len(settings) > MAX_BARS else ""
    caption = f"{chart_parts.prompts_caption(sizes)} a setting{left_out}"
    return Chart("Agreement of single prompts", caption, spec, legend)


def _by_group(
    drawn: Sequence[tuple[Breakdown, Series]], series: Mapping[str, Series], plot: GroupPlot
) -> Chart | None:
    """Agreement of pairs of repeats by a group that they belong to."""
    values: list[Spec] = []
    order: dict[str, None] = {}
    pairs, left_out = 0, False
    for part, look in drawn:
        for group in plot.groups(part):
            if group.group == "unknown" or group.agreement is None:
                continue
            if group.pairs < MIN_PAIRS:
                left_out = True
                continue
            order.setdefault(group.group)
            pairs += group.pairs
            values.append({"x": group.group, "value": group.agreement, "key": look.key})
    names = sorted(order, key=_leading_number)
    if len(names) < 2:
        return None
    shown = list(series.values())
    x: Spec = {
        "field": "x", "type": "nominal", "sort": names, "title": plot.axis,
        "scale": {"domain": names, "type": "point", "padding": 0.4},
        "axis": {"labelAngle": 0 if len(names) < 4 else -35},
    }  # fmt: skip
    spec = chart_parts.lines(values, shown, x, chart_parts.share("value", "same text"))
    few = f"; points of fewer than {MIN_PAIRS} pairs left out" if left_out else ""
    caption = f"n\u00a0=\u00a0{pairs:,} pairs; observed, not an experiment{few}"
    return Chart(plot.title, caption, chart_parts.with_points(spec, shown), settings=tuple(shown))


def _leading_number(name: str) -> tuple[float, str]:
    """The sort key of a bin: its start, of times in seconds."""
    scale = {"s": 1.0, "min": 60.0, "h": 3600.0}
    digits = "".join(c if c.isdigit() else " " for c in name).split()
    first = float(digits[0]) if digits else 0.0
    unit = scale.get(name.rsplit(" ", 1)[-1], 1.0)
    return (-1.0 if name.startswith("<") else first * unit), name
