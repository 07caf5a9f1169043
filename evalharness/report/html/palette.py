"""The colours of the report, for light and for dark.

Plots are drawn in the light colours; the style sheet redraws each of them in its dark counterpart
where the reader prefers that, so every colour of a plot must be one of these.

Series colours are those of Okabe and Ito (https://jfly.uni-koeln.de/color/), which readers with
colour-blindness can tell apart; dashes and shapes say the same a second time.
"""

from __future__ import annotations

INK = "#1c2330"
MUTED = "#5d6675"
GRID = "#e5e8ed"
RULE = "#aab1bd"
DETECTED = "#0b62a8"
OPEN = "#8c95a3"
BAND = "#eef0f4"
BAD = "#c2410d"

SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a828f")
DASHES = ((1, 0), (5, 3), (2, 2), (8, 3, 2, 3))
SHAPES = ("circle", "square", "triangle-up", "diamond")

#: From least to most; the numbers on the first ``HEAT_DARK_FROM`` steps are dark.
HEAT = ("#f1f6fb", "#d6e6f4", "#b3d1ea", "#84b5dc", "#5295c9", "#2b74b0", "#134f86")
HEAT_DARK_FROM = 4
ON_PALE = "#1c2331"
ON_DEEP = "#fdfdfe"

#: Light colour → dark colour.
DARK = {
    INK: "#e7eaf0",
    MUTED: "#9aa3b2",
    GRID: "#2a303a",
    RULE: "#566070",
    DETECTED: "#5fb0f0",
    OPEN: "#8a93a2",
    BAND: "#20252e",
    BAD: "#ff8a4f",
    "#0072b2": "#45a2e6",
    "#d55e00": "#ff8744",
    "#009e73": "#2fc596",
    "#cc79a7": "#e79cc6",
    "#e69f00": "#f3b83f",
    "#56b4e9": "#8fd3fb",
    "#7a828f": "#a7afbc",
    "#f1f6fb": "#182230",
    "#d6e6f4": "#1b3048",
    "#b3d1ea": "#1f4264",
    "#84b5dc": "#275a88",
    "#5295c9": "#4f93cc",
    "#2b74b0": "#7ab4e4",
    "#134f86": "#b0d6f7",
    ON_PALE: "#e8edf5",
    ON_DEEP: "#0d1520",
}


def dark_rules() -> str:
    """CSS that redraws a plot's colours for a dark page."""
    rules = [
        f'svg [{attribute}="{light}"]{{{attribute}:{dark}}}'
        for light, dark in DARK.items()
        for attribute in ("fill", "stroke")
    ]
    return "\n".join(rules)
