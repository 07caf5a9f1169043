"""Contrast of the colours on both backgrounds."""

from __future__ import annotations

from evalharness.report.html import palette


def test_colours_meet_contrast_on_both_backgrounds() -> None:
    """Lines and text of plots have a contrast of at least 2 (marks) and 4.5 (text)."""
    text = {palette.INK, palette.MUTED}
    for light in {*palette.SERIES, palette.DETECTED, palette.BAD, palette.OPEN} | text:
        least = 4.5 if light in text else 2.0
        assert _contrast(light, "#ffffff") >= least, light
        assert _contrast(palette.DARK[light], "#12151b") >= least, light
    for step, light in enumerate(palette.HEAT):
        on = palette.ON_DEEP if step >= palette.HEAT_DARK_FROM else palette.ON_PALE
        assert _contrast(light, on) >= 3.0, light
        assert _contrast(palette.DARK[light], palette.DARK[on]) >= 3.0, light


def _contrast(one: str, other: str) -> float:
    """Contrast ratio of WCAG 2."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)
