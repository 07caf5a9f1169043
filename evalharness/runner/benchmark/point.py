"""A load point as it is asked for, and the plan of its requests."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from msgspec import structs

from evalharness.config.models import LoadConfig
from evalharness.planning.load_points import measured_requests
from evalharness.planning.plan import Plan
from evalharness.planning.replay_times import replay_times
from evalharness.records import Setting, Trial
from evalharness.runner.benchmark.point_plan import LoadPointPlan, LoadShare


class LoadPointTask(NamedTuple):
    """One load on settings that share it.

    Attributes:
        load: with the rate that applies.
        settings: whose requests are interleaved.
        first_repeat: that no attempt of these settings has used.
    """

    load: LoadConfig
    settings: Sequence[Setting]
    first_repeat: int


def load_point_plan(
    plan: Plan, point: LoadPointTask, share: LoadShare | None = None
) -> LoadPointPlan:
    """What one worker sends of a load point; without a share, all of it."""
    share, load, settings = share or LoadShare(), point.load, point.settings
    trace: Sequence[float] = ()
    if load.arrival == "replay" and plan.schedule is not None:
        trace = plan.schedule.times
        trials: Iterator[Trial] = plan.scheduled_trials(
            plan.schedule, settings[0], point.first_repeat
        )
        measured: int | None = load.requests or len(trace)
    elif load.arrival == "replay":
        trace = replay_times(plan.prompts, load.column or "")
        trials = plan.dataset_trials(settings[0], point.first_repeat)
        measured = load.requests or len(trace)
    else:
        trials = itertools.chain.from_iterable(
            plan.round_trials(settings, repeat) for repeat in itertools.count(point.first_repeat)
        )
        cells = plan.cells(settings)
        measured = measured_requests(load, cells=cells, repeats=plan.config.repeats)
    trials = itertools.islice(trials, share.worker, None, share.workers)
    background = itertools.islice(
        _background_trials(plan, point), share.worker, None, share.workers
    )
    if load.arrival == "closed" and share.workers > 1:
        load = structs.replace(
            load,
            concurrency=share.of(load.concurrency or 1),
            warmup_requests=share.of(load.warmup_requests),
            background=share.of(load.background),
        )
        measured = None if measured is None else share.of(measured)
    next_turn = plan.next_turn if plan.conversations.exist else None
    return LoadPointPlan(load, trials, measured, trace, share, background, next_turn)


def _background_trials(plan: Plan, point: LoadPointTask) -> Iterator[Trial]:
    """The trials of the background rows, without an end; none without such rows."""
    if not point.load.background:
        return
    for repeat in itertools.count(point.first_repeat):
        yield from plan.round_trials(point.settings, repeat, background=True)
