"""The load points of ``load=sweep``: what is asked for, and the load of each of its steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evalharness.config.models import LoadConfig
from evalharness.errors import ConfigError
from evalharness.planning.knee_search import SweepStep
from evalharness.records import Prompt, Setting

# Keys of open loops, which a closed loop has no use for.
_OPEN_LOOP = ("burstiness", "max_behind_s", "stop_when_oversaturated")


def check_load_sweep(load: LoadConfig) -> None:
    """Check a sweep of loads.

    Raises:
        ConfigError: keys that exclude each other, naming the one to type.
    """
    if load.sweep is None:
        return
    if load.search is not None:
        raise ConfigError(
            "`load.search` and `load.sweep` are two ways to look for rates", hint="load.search=null"
        )
    if load.rate is not None:
        raise ConfigError(
            "`load.rate` means nothing to load=sweep, which finds its rates itself",
            hint="load.rate=null; load.sweep.max_rate=20 bounds them",
        )
    if load.arrival not in ("constant", "poisson", "gamma"):
        raise ConfigError(
            f"load=sweep cannot raise the rate of load.arrival={load.arrival}",
            hint="load.arrival=constant; closed loops are measured by load.sweep.over=concurrency",
        )
    if load.sweep.over == "concurrency" and load.sweep.max_rate is not None:
        raise ConfigError(
            "`load.sweep.max_rate` means nothing to load.sweep.over=concurrency",
            hint="load.sweep.max_concurrency=32",
        )


def check_swept_rows(settings: Sequence[Setting], prompts: Sequence[Prompt]) -> None:
    """Check, before anything is sent, that a sweep of loads has requests to count.

    Raises:
        ConfigError: the dataset has conversations.
    """
    if any(s.load.get("sweep") for s in settings) and any(p.turn is not None for p in prompts):
        raise ConfigError(
            "load=sweep counts requests, and the dataset has conversations",
            hint="load=closed sweep.load.concurrency=[1,4,16] measures them",
        )


def step_load(shape: Mapping[str, Any], step: SweepStep) -> dict[str, Any]:
    """The load of a step, from that of the setting: a closed loop, or an open one at a rate."""
    value = int(step.value) if step.value == int(step.value) else step.value
    if step.over == "rate":
        return {**shape, "rate": value}
    closed = {key: each for key, each in shape.items() if key not in _OPEN_LOOP}
    return {**closed, "arrival": "closed", "concurrency": value}


def step_of(load: Mapping[str, Any]) -> SweepStep:
    """The step that a measured load is of."""
    if load["arrival"] == "closed":
        return SweepStep("concurrency", float(load["concurrency"]))
    return SweepStep("rate", float(load["rate"]))
