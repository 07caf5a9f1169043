"""Run as a program: Vega-Lite specifications in on stdin, their SVG out on stdout, both as JSON.

It starts the engine before it reads, and ends when it has drawn. Standard library and vl-convert
alone, so that it is there at once. A specification that Vega refuses ends it with exit code 1 and
the reason on stderr.
"""

from __future__ import annotations

import json
import sys

import vl_convert

NO_URLS: list[str] = []  # an empty list of allowed URLs allows none
#: Loads Vega and Vega-Lite, and runs the parts of them that most plots need a first time.
_FIRST = {
    "data": {"values": [{"a": 1, "b": "c"}]},
    "encoding": {"x": {"field": "a", "type": "quantitative"}, "y": {"field": "b"}},
    "layer": [{"mark": mark} for mark in ("line", "point", "rule")],
}


def main() -> None:
    """Start, wait for the specifications, draw them."""
    vl_convert.vegalite_to_svg(_FIRST, allowed_base_urls=NO_URLS)
    try:
        drawn = [
            vl_convert.vegalite_to_svg(spec, allowed_base_urls=NO_URLS)
            for spec in json.load(sys.stdin.buffer)
        ]
    except ValueError as error:
        sys.exit(str(error))
    sys.stdout.write(json.dumps(drawn))


if __name__ == "__main__":
    main()
