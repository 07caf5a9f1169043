"""The plots of the page as files of their own: SVG, PNG, and Vega-Lite with its data.

Each has its title, its caption and its legend in it, so that it stands alone in a paper, a slide or
another notebook.
"""

from __future__ import annotations

import base64
import json
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from evalharness.errors import ConfigError
from evalharness.process.text import plural
from evalharness.report.html import palette
from evalharness.report.html.charts.chart_parts import WIDTH, Spec
from evalharness.report.html.engine import DrawingFormat
from evalharness.report.html.series import Series
from evalharness.report.html.svg import whole_specs
from evalharness.report.html_report import page_context, part_contents, start_engine
from evalharness.report.section import ReportData
from evalharness.store.folder.durable_files import USER_FILE_MODE, write_bytes_durably

_DRAWN: tuple[DrawingFormat, ...] = ("svg", "png")
_SUFFIXES = {"svg": ".svg", "png": ".png", "vega": ".vl.json"}
FORMATS = tuple(_SUFFIXES)
_MAX_NAME = 80  # characters
_LINE_PIXELS = 18  # of a line of the legend
_CHARACTER_PIXELS = 6.2  # of a caption, on average


class Plot(NamedTuple):
    """A plot that stands alone.

    Attributes:
        name: of its files, without a suffix; unique in the report.
        spec: Vega-Lite with its data, title and legend.
    """

    name: str
    spec: Spec


def write_plots(
    report: ReportData,
    folder: Path,
    *,
    formats: Sequence[str] = FORMATS,
) -> list[Path]:
    """Write each plot of the page in some formats; a file appears whole or not at all.

    Args:
        report: the report.
        folder: is there; files of other names in it stay.
        formats: of :data:`FORMATS`.

    Returns:
        The files, in the order of the page.

    Raises:
        ConfigError: there is no such format.
        StorageError: a file cannot be written.
    """
    unknown = [form for form in formats if form not in FORMATS]
    if unknown:
        raise ConfigError(f"no format {unknown[0]!r}", hint=f"there are {', '.join(FORMATS)}")
    plots = plots_of(report)
    drawn: list[DrawingFormat] = [form for form in _DRAWN if form in formats]
    drawings: list[str] = []
    if drawn and plots:
        drawings = start_engine().draw([plot.spec for plot in plots], drawn)
    paths: list[Path] = []
    for index, plot in enumerate(plots):
        contents = {"vega": (json.dumps(plot.spec, ensure_ascii=False, indent=1) + "\n").encode()}
        for form, drawing in zip(drawn, drawings[index * len(drawn) :], strict=False):
            contents[form] = base64.b64decode(drawing) if form == "png" else drawing.encode()
        for form in (form for form in FORMATS if form in formats):
            path = folder / f"{plot.name}{_SUFFIXES[form]}"
            write_bytes_durably(path, contents[form], mode=USER_FILE_MODE)
            paths.append(path)
    return paths


def plots_of(report: ReportData) -> list[Plot]:
    """The plots of the page in their order, each with what the page says around it."""
    names: list[str] = []
    specs: list[Spec] = []
    context = page_context(report)
    for content in part_contents(context):
        row, row_legend = "", ()
        for chart in content.charts:
            if chart.row:
                row, row_legend = chart.row, chart.row_legend
            names.append(_unique_name(f"{content.part.anchor} {chart.title} {row}", names))
            series = chart.legend or _if_several(row_legend) or _if_several(chart.settings)
            caption = chart.caption
            if chart.settings and context.left_out:
                caption += f"; {plural(context.left_out, 'setting')} not drawn"
            within = row or content.part.heading or ""
            specs.append(_alone(chart.spec, [chart.title, within.lower()], caption, series))
    whole = whole_specs(specs, background="white")
    return [Plot(name, spec) for name, spec in zip(names, whole, strict=True)]


def _unique_name(text: str, taken: Sequence[str]) -> str:
    """``sweep-score-against-temperature``, numbered where it is taken."""
    short = re.sub(r"[^a-z0-9]+", "-", text.lower())[:_MAX_NAME].strip("-")
    name, number = short, 2
    while name in taken:
        name, number = f"{short}-{number}", number + 1
    return name


def _alone(spec: Spec, title: Sequence[str], caption: str, series: Sequence[Series]) -> Spec:
    """A plot with its title, caption and legend; without series it has no legend."""
    pixels = spec.get("width")
    characters = int((pixels if isinstance(pixels, int) else WIDTH) * 1.3 / _CHARACTER_PIXELS)
    heading = {
        "text": textwrap.wrap(" · ".join(filter(None, title)), characters),
        "subtitle": textwrap.wrap(caption, characters),
        "anchor": "start", "fontSize": 13, "subtitleFontSize": 11, "offset": 12,
        "color": palette.INK, "subtitleColor": palette.MUTED,
    }  # fmt: skip
    if not series:
        return {"title": heading, **spec}
    return {"title": heading, "spacing": 8, "vconcat": [spec, _legend(series)]}


def _if_several(series: tuple[Series, ...]) -> tuple[Series, ...]:
    return series if len(series) > 1 else ()


def _legend(series: Sequence[Series]) -> Spec:
    """One line a series: how it is drawn, and its label."""
    values = [{"label": each.label, "key": each.key, "line": i} for i, each in enumerate(series)]
    keys = [each.key for each in series]

    def look(looks: list[object]) -> Spec:
        scale = {"domain": keys, "range": looks}
        return {"field": "key", "type": "nominal", "legend": None, "scale": scale}

    colour = look([each.colour for each in series])
    is_line = all(each.dash for each in series)
    sample: Spec = {"mark": {"type": "square", "filled": True, "size": 80, "opacity": 1, "x": 22}}
    sample["encoding"] = {"color": colour}
    if is_line:
        sample["mark"] = {"type": "rule", "strokeWidth": 2, "x": 0, "x2": 30}
        sample["encoding"]["strokeDash"] = look([list(each.dash) for each in series])
    label = {"mark": {"type": "text", "align": "left", "baseline": "middle", "x": 38}}
    return {
        "width": WIDTH,
        "height": _LINE_PIXELS * len(series),
        "data": {"values": values},
        "encoding": {
            "y": {
                "field": "line", "type": "ordinal", "axis": None,
                "scale": {"type": "point", "padding": 0.5},
            }
        },
        "resolve": {"scale": {"color": "independent", "strokeDash": "independent"}},
        "layer": [sample, {**label, "encoding": {"text": {"field": "label"}}}],
    }  # fmt: skip
