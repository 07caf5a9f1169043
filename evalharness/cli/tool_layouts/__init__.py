"""Load points in the JSON layouts of other load tools."""

from __future__ import annotations

from typing import Literal, get_args

ToolLayout = Literal["vllm", "guidellm", "aiperf"]
LAYOUTS: tuple[ToolLayout, ...] = get_args(ToolLayout)


def layout_of(form: str) -> ToolLayout | None:
    """The layout that an export format is; None where it is one of ours."""
    return next((layout for layout in LAYOUTS if layout == form), None)
