"""What a round begins with: the task, and what coordinator and workers are sent of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from evalharness.config.models import Profile
from evalharness.distributed.limits.slot_server import SlotServer
from evalharness.distributed.messages import (
    CoordinatorSetup,
    EarlierAttempts,
    EndpointHistory,
    EndpointSpec,
    UploadTarget,
    WorkerSetup,
)
from evalharness.planning.plan import Plan
from evalharness.runner.budget import RequestPrice
from evalharness.runner.resume_limits import restore_limits
from evalharness.store.folder.lock import LOCK
from evalharness.store.folder.writer import RunStore
from evalharness.store.parts import seal
from evalharness.throttle.waiters import EarlierRequest

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

# Trials a shard at most, so that few have to be looked up after a worker died.
_MAX_SHARD_SIZE = 1_024
# Where journals are on workers' own disks, all trials of a lost worker's shards may be in doubt.
_MAX_LEASED_SIZE = 64
_SHARDS_PER_WORKER = 16
_MAX_SHARDS = 20_000


class DistributedTask(NamedTuple):
    """What is to be run.

    Attributes:
        plan: what to ask.
        profiles: by provider name.
        endpoints: open.
        prices: by setting_id.
        committed_usd: dollars that the run folder shows to be spent or in doubt; called each round.
        committed_in: the same of a table of attempts.
    """

    plan: Plan
    profiles: Mapping[str, Profile]
    endpoints: Sequence[EndpointSpec]
    prices: Mapping[str, RequestPrice | None]
    committed_usd: Callable[[], Decimal]
    committed_in: Callable[[pa.Table], Decimal]


def coordinator_setup(
    task: DistributedTask, store: RunStore, done: NDArray[np.bool_], *, has_ledger: bool
) -> CoordinatorSetup:
    """What a coordinator starts with, as the run folder is now.

    Args:
        task: what is to be run.
        store: of the driver.
        done: trials that have their record, as of :meth:`~evalharness.planning.plan.Plan.done_map`.
        has_ledger: whether leases are recorded before workers get their shards.
    """
    has_part_ledger = has_ledger and store.folder.sync is not None
    limits, execution = task.plan.config.limits, task.plan.config.execution
    histories = {e.name: _HistoryReader(e) for e in task.endpoints}
    restore_limits(store.folder.root, histories, limits.max_wait_s)
    planned, remaining = len(task.plan), int((~done).sum())
    by_work = remaining // (execution.workers * _SHARDS_PER_WORKER)
    size = max(1, min(_MAX_SHARD_SIZE, max(by_work, planned // _MAX_SHARDS)))
    if has_ledger:
        size = min(size, _MAX_LEASED_SIZE)
    return CoordinatorSetup(
        endpoints=task.endpoints,
        histories={name: reader.history for name, reader in histories.items()},
        planned=planned,
        shard_size=execution.shard_trials or size,
        max_cost_usd=limits.max_cost_usd,
        committed_usd=task.committed_usd(),
        next_part=seal.next_part_number(store.folder),
        has_ledger=has_ledger,
        has_part_ledger=has_part_ledger,
    )


def worker_setup(
    task: DistributedTask, store: RunStore, done: NDArray[np.bool_], earlier: EarlierAttempts
) -> WorkerSetup:
    """What every worker is sent.

    Args:
        task, store, done: as for :func:`coordinator_setup`.
        earlier: attempts that are in no part.
    """
    import numpy as np

    plan, sync = task.plan, store.folder.sync
    upload = None
    if sync is not None and plan.config.execution.journal_dir is not None:
        upload = UploadTarget(sync.url, sync.copy)
    return WorkerSetup(
        config=plan.config,
        prompts=plan.prompts,
        settings=plan.settings,
        profiles=task.profiles,
        protocols=plan.protocols,
        endpoints=task.endpoints,
        done=np.packbits(done).tobytes(),
        prices=task.prices,
        has_cost_limit=plan.config.limits.max_cost_usd is not None,
        unfinished=store.recovery.unfinished,
        earlier=earlier,
        root=store.folder.root.resolve(),
        needs_grant={
            e.name: SlotServer(e.limits, e.profile, 0.0).needs_grant for e in task.endpoints
        },
        upload=upload,
        holder=(store.folder.root / LOCK).read_text(),
    )


class _HistoryReader:
    """Notes what :func:`~evalharness.runner.resume_limits.restore_limits` finds."""

    def __init__(self, endpoint: EndpointSpec) -> None:
        self.window_s = SlotServer(endpoint.limits, endpoint.profile, 0.0).window_s
        self.history = EndpointHistory()

    def restore(self, sent: Iterable[EarlierRequest]) -> None:
        """Note requests of earlier processes."""
        self.history = self.history._replace(sent=list(sent))

    def mark_reached(self) -> None:
        """Nothing: workers assume that every address is right, since another may have an answer."""

    def probe_first(self) -> None:
        """Note that one request goes first."""
        self.history = self.history._replace(probe_first=True)

    def pause(self, seconds: float, reason: str) -> None:
        """Note a pause."""
        self.history = self.history._replace(pause=(seconds, reason))
