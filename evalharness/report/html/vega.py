"""A program that reads Vega-Lite specifications on stdin and writes their SVG on stdout, as JSON.

It starts Vega before it reads, and ends when it has drawn. It imports only the standard library and
vl-convert, so that it starts fast. A specification that Vega refuses ends it with exit code 1 and
the reason on stderr.
"""

from __future__ import annotations

import json
import sys

import vl_convert

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
        plots = [
            vl_convert.vegalite_to_svg(spec, allowed_base_urls=NO_URLS)
            for spec in json.load(sys.stdin.buffer)
        ]
    except ValueError as error:
        sys.exit(str(error))
    sys.stdout.write(json.dumps(plots))


if __name__ == "__main__":
    main()
