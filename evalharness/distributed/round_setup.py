"""What a round begins with: what is to be run, and what coordinator and workers are told of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from evalharness.config.models import Profile
from evalharness.distributed.limits.slot_server import Desk
from evalharness.distributed.messages import Earlier, Memory, Reach, Setup, Work
from evalharness.planning.plan import Plan
from evalharness.runner.budget import Price
from evalharness.runner.resume_limits import recall
from evalharness.store.folder.writer import RunStore
from evalharness.store.parts import seal
from evalharness.throttle.waiters import SentBefore

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

# A shard is at most this, so that a dead worker leaves little to look up.
_MOST_SHARD = 1_024
# Where journals are on workers' own disks, what a lost one may have sent is told by the shard.
_MOST_LEASED = 64
_SHARDS_A_WORKER = 16
_MOST_SHARDS = 20_000


class Task(NamedTuple):
    """What is to be run.

    Attributes:
        plan: what to ask.
        profiles: by provider name.
        reaches: endpoints, open.
        prices: by setting_id.
        gone: dollars that the run folder shows to be spent or in doubt; asked at each round.
        spent_in: the same of a table of attempts.
    """

    plan: Plan
    profiles: Mapping[str, Profile]
    reaches: Sequence[Reach]
    prices: Mapping[str, Price | None]
    gone: Callable[[], Decimal]
    spent_in: Callable[[pa.Table], Decimal]


def setup_of(task: Task, store: RunStore, done: NDArray[np.bool_], *, ledger: bool) -> Setup:
    """What a coordinator starts with, as the run folder is now.

    Args:
        task: what is to be run.
        store: of the driver.
        done: trials that have their record, as of :meth:`~evalharness.planning.plan.Plan.done_map`.
        ledger: whether shards are noted before workers get them.
    """
    limits, execution = task.plan.config.limits, task.plan.config.execution
    memories = {r.name: _Recalled(r) for r in task.reaches}
    recall(store.folder.root, memories, limits.max_wait_s)
    planned, left = len(task.plan), int((~done).sum())
    by_work = left // (execution.workers * _SHARDS_A_WORKER)
    size = max(1, min(_MOST_SHARD, max(by_work, planned // _MOST_SHARDS)))
    if ledger:
        size = min(size, _MOST_LEASED)
    return Setup(
        reaches=task.reaches,
        memory={name: memory.all() for name, memory in memories.items()},
        planned=planned,
        shard_trials=execution.shard_trials or size,
        max_cost_usd=limits.max_cost_usd,
        gone=task.gone(),
        next_part=seal.next_part_number(store.folder),
        ledger=ledger,
    )


def work_of(task: Task, store: RunStore, done: NDArray[np.bool_], earlier: Earlier) -> Work:
    """What every worker is told; arguments as of :func:`setup_of`, and attempts in no part."""
    import numpy as np

    plan = task.plan
    return Work(
        config=plan.config,
        prompts=plan.prompts,
        settings=plan.settings,
        profiles=task.profiles,
        reaches=task.reaches,
        done=np.packbits(done).tobytes(),
        prices=task.prices,
        limited=plan.config.limits.max_cost_usd is not None,
        unfinished=store.recovered.unfinished,
        earlier=earlier,
        root=store.folder.root.resolve(),
        needs_leave={r.name: Desk(r.limits, r.profile, 0.0).needs_leave for r in task.reaches},
    )


class _Recalled:
    """Keeps what :func:`~evalharness.runner.resume_limits.recall` finds."""

    def __init__(self, reach: Reach) -> None:
        self.memory_s = Desk(reach.limits, reach.profile, 0.0).memory_s
        self._memory = Memory()

    def recall(self, sent: Iterable[SentBefore]) -> None:
        """Keep them."""
        self._memory = self._memory._replace(sent=list(sent))

    def reached(self) -> None:
        """Workers take every address for right: another of them may have been answered."""

    def probe_first(self) -> None:
        """Keep that."""
        self._memory = self._memory._replace(probe_first=True)

    def pause(self, seconds: float, reason: str) -> None:
        """Keep it."""
        self._memory = self._memory._replace(pause=(seconds, reason))

    def all(self) -> Memory:
        """What was kept."""
        return self._memory
