"""A program that reads Vega-Lite specifications on stdin and draws them, as JSON on stdout.

What it reads is a list of ``[specification, format]``: ``svg``, a text, or ``png``, in base64.

It starts Vega before it reads, and ends when it has drawn. It imports only the standard library and
vl-convert, so that it starts fast. A specification that Vega refuses ends it with exit code 1 and
the reason on stderr.
"""

from __future__ import annotations

import base64
import json
import sys
from typing import Any

import vl_convert

PNG_SCALE = 2  # pixels of a picture for each of the specification
NO_URLS: list[str] = []  # allow no URL at all
#: Drawing this loads Vega and Vega-Lite, with the parts that most plots need.
_WARM_UP = {
    "data": {"values": [{"a": 1, "b": "c"}]},
    "encoding": {"x": {"field": "a", "type": "quantitative"}, "y": {"field": "b"}},
    "layer": [{"mark": mark} for mark in ("line", "point", "rule")],
}


def main() -> None:
    """Start Vega, read the specifications, draw them."""
    vl_convert.vegalite_to_svg(_WARM_UP, allowed_base_urls=NO_URLS)
    try:
        plots = [_draw(spec, form) for spec, form in json.load(sys.stdin.buffer)]
    except ValueError as error:
        sys.exit(str(error))
    sys.stdout.write(json.dumps(plots))


def _draw(spec: dict[str, Any], form: str) -> str:
    if form == "svg":
        return vl_convert.vegalite_to_svg(spec, allowed_base_urls=NO_URLS)
    image = vl_convert.vegalite_to_png(spec, scale=PNG_SCALE, allowed_base_urls=NO_URLS)
    return base64.b64encode(image).decode()


if __name__ == "__main__":
    main()
