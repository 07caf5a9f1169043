"""What a benchmark would measure, for ``evalharness plan``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evalharness.commands.run import Prepared


def load_points_of(prepared: Prepared) -> list[dict[str, Any]]:
    """What a benchmark would measure; empty in batch evaluation.

    Each has ``load``, ``settings`` (labels), ``requests`` and ``seconds`` (null where only the
    measurement tells; of a search those of one step).
    """
    from evalharness.loads import expected_requests, expected_seconds, load_of, load_points

    plan, config = prepared.plan, prepared.plan.config
    found: list[dict[str, Any]] = []
    for settings in load_points(plan.settings) if config.load is not None else []:
        assert config.load is not None
        load = load_of(settings[0].load, config.load)
        cells = len(plan.prompts) * len(settings)
        requests = expected_requests(load, cells=cells, repeats=config.repeats)
        found.append(
            {
                "load": settings[0].load,
                "settings": [s.label for s in settings],
                "requests": requests,
                "seconds": expected_seconds(load, requests),
            }
        )
    return found


def point_line(point: dict[str, Any], span: Callable[[float], str]) -> str:
    """A load point on one line; ``span`` words seconds."""
    load: dict[str, Any] = dict(point["load"])
    search = load.pop("search", None)
    shown = ", ".join(f"{key}={value}" for key, value in load.items() if key != "slo")
    known = point["requests"] is not None
    count = f"about {point['requests']} requests" if known else "as many requests as fit"
    lasts = "" if point["seconds"] is None else f" in {span(point['seconds'])}"
    steps = "" if search is None else f", up to {search.get('max_points', 16)} such steps"
    return f"  {shown}: {count}{lasts}{steps}"
