"""Plots as SVG that is safe in a page: drawn by :mod:`.engine`, then reduced to an allowlist.

Specifications hold their data inline, and no URL may be loaded. The SVG is rebuilt from the
elements and attributes that a plot needs, so that no script, style, link or label gets into the
page, whatever a setting or a model is called.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from evalharness.report.html import palette
from evalharness.report.html.engine import OTHER_SCRIPTS

if TYPE_CHECKING:
    from evalharness.report.html.engine import Engine

_SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
_SVG = "{http://www.w3.org/2000/svg}"
_ELEMENTS = {"svg", "g", "path", "line", "rect", "circle", "text", "tspan", "defs", "clipPath"}
_ATTRIBUTES = {
    "d", "transform", "x", "y", "x1", "x2", "y1", "y2", "dx", "dy", "width", "height", "cx", "cy",
    "r", "viewBox", "fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity",
    "stroke-dasharray", "stroke-linecap", "stroke-linejoin", "stroke-miterlimit", "opacity",
    "text-anchor", "font-size", "font-weight", "clip-path", "id",
}  # fmt: skip
_DEFAULTS = {("opacity", "1"), ("font-weight", "normal"), ("stroke-width", "1")}
_NUMBER = re.compile(r"-?\d+\.\d{2,}")
_LABEL_PIXELS = 300

CONFIG: dict[str, Any] = {
    "background": None,
    "font": "Helvetica, Arial, sans-serif",
    "padding": {"left": 6, "right": 8, "top": 6, "bottom": 4},
    "view": {"stroke": None},
    "axis": {
        "labelColor": palette.MUTED, "titleColor": palette.MUTED, "gridColor": palette.GRID,
        "tickColor": palette.GRID, "domain": False, "ticks": False, "labelPadding": 6,
        "labelFontSize": 11, "titleFontSize": 11, "titleFontWeight": "normal", "titlePadding": 8,
        "labelLimit": 0,  # texts are cut by characters; to cut them Vega measures each twice
    },
    "axisX": {
        "grid": False, "domain": True, "domainColor": palette.RULE, "labelFlush": False,
    },
    "line": {"strokeWidth": 2, "strokeJoin": "round", "strokeCap": "butt"},
    "text": {"color": palette.INK, "fontSize": 11},
    "rule": {"color": palette.RULE},
    "point": {"size": 52},
}  # fmt: skip


def render_plots(specs: Mapping[str, Mapping[str, Any]], engine: Engine) -> dict[str, str]:
    """Draw Vega-Lite specifications.

    Args:
        specs: by name, which is unique within the page (for the ids of clip paths), without
            ``config``; their data are inline.
        engine: started, not used before.

    Returns:
        An ``<svg>`` element without namespaces, fit for an HTML page, by name.

    Raises:
        ValueError: a specification is not valid Vega-Lite.
    """
    plots = engine.draw(whole_specs(list(specs.values())))
    return {name: clean_svg(svg, name) for name, svg in zip(specs, plots, strict=True)}


def whole_specs(
    specs: Sequence[Mapping[str, Any]], *, background: str | None = None
) -> list[dict[str, Any]]:
    """The specifications with their schema and the look of all plots.

    Args:
        specs: without ``config``.
        background: a colour; None is transparent.
    """
    config = {**CONFIG, "background": background}
    if OTHER_SCRIPTS.search(json.dumps(specs, ensure_ascii=False)):
        # Their letters can be twice as wide: limit labels by width, not by characters.
        config["axis"] = {**CONFIG["axis"], "labelLimit": _LABEL_PIXELS}
    return [{"$schema": _SCHEMA, "config": config, **spec} for spec in specs]


def clean_svg(svg: str, name: str) -> str:
    """Rebuild an SVG from allowed elements and attributes, with short numbers and unique ids."""
    source = ElementTree.fromstring(svg)  # noqa: S314 — our own renderer's output, no entities
    root = _rebuild(source, name)
    assert root is not None
    root.set("aria-hidden", "true")  # the caption and the tables say it in words
    return ElementTree.tostring(root, encoding="unicode", short_empty_elements=True)


def _rebuild(source: ElementTree.Element, name: str) -> ElementTree.Element | None:
    tag = source.tag.removeprefix(_SVG)
    if tag not in _ELEMENTS or source.get("display") == "none":
        return None
    target = ElementTree.Element(tag)
    for key, value in source.attrib.items():
        if key in _ATTRIBUTES and (key, value) not in _DEFAULTS:
            cleaned = _attribute(key, value, name)
            if cleaned is not None:
                target.set(key, cleaned)
    target.text = source.text
    for child in source:
        rebuilt = _rebuild(child, name)
        if rebuilt is not None:
            target.append(rebuilt)
    # Vega wraps marks in groups and frames that show nothing.
    if tag == "g" and not len(target):
        return None
    if tag == "path" and "fill" not in target.attrib and "stroke" not in target.attrib:
        return None
    return target


def _attribute(key: str, value: str, name: str) -> str | None:
    if key == "id":
        return f"{name}-{value}"
    if "url(" in value:
        inner = re.fullmatch(r"url\(#([\w-]+)\)", value)
        return f"url(#{name}-{inner[1]})" if inner else None
    if key == "font-size":
        return value.removesuffix("px")
    return _NUMBER.sub(lambda match: f"{float(match[0]):.1f}".removesuffix(".0"), value)
