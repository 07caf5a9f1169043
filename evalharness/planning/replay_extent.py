"""How many requests a replay sends, and how long it takes."""

from __future__ import annotations

from typing import NamedTuple

from evalharness.config.models import LoadConfig
from evalharness.planning.plan import Plan
from evalharness.planning.replay_times import replay_times


class ReplayExtent(NamedTuple):
    """Requests that are due before the load point ends, and seconds until the last of them."""

    requests: int
    seconds: float


def replay_extent(plan: Plan, load: LoadConfig) -> ReplayExtent | None:
    """The extent of a replay; None of any other load.

    Args:
        plan: its rows.
        load: the load point; ``requests`` and ``duration_s`` end it early.
    """
    if load.arrival != "replay":
        return None
    schedule = plan.schedule
    times = replay_times(plan.prompts, load.column or "") if schedule is None else schedule.times
    due = [at / load.speed for at in times][: load.requests]
    if load.duration_s is not None:
        due = [at for at in due if at < load.duration_s]
    return ReplayExtent(len(due), due[-1] if due else 0.0)
