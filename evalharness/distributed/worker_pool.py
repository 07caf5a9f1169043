"""The workers that the driver runs: starts them, names them, counts losses."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalharness.config.models import ExecutionConfig
from evalharness.distributed.leases import JournalLocation, LeaseLedger
from evalharness.distributed.messages import WorkerDone, WorkerFailed, WorkerSetup
from evalharness.errors import EXIT_STORAGE, StorageError
from evalharness.runner.run_summary import StopReason

if TYPE_CHECKING:
    from evalharness.distributed.actors import Cluster


class WorkerPool:
    """Starts workers; each has a name that no other of the session has.

    Args:
        cluster: where they run.
        execution: how many, and where their journals are.
        root: the run folder.
        leases: records where journals are; None where they are in the shared folder.
    """

    def __init__(
        self, cluster: Cluster, execution: ExecutionConfig, root: Path, leases: LeaseLedger | None
    ) -> None:
        self._cluster = cluster
        self._execution = execution
        self._leases = leases
        self._coordinator: Any = None
        self._setup: Any = None
        self._actors: dict[str, Any] = {}
        self._generation = 0
        self._losses = 0  # since a trial was finished
        self._journals = root.resolve() / "journal"
        if execution.journal_dir is not None:
            # A later session must never find a journal of a lost node under the same name.
            session = f"{root.resolve().name}-{secrets.token_hex(4)}"
            self._journals = Path(execution.journal_dir) / session

    @property
    def names(self) -> list[str]:
        """Workers that have not ended."""
        return [*self._actors]

    def set_round(self, coordinator: Any, setup: WorkerSetup) -> None:
        """Workers that start after this call get ``setup`` and work for ``coordinator``."""
        self._coordinator, self._setup = coordinator, self._cluster.share(setup)

    def start(self) -> tuple[asyncio.Task[WorkerDone | WorkerFailed | None], str]:
        """Start a worker: a task of its result (see :meth:`.actors.Cluster.run`), and its name."""
        self._generation += 1
        name = f"worker-{self._generation:04d}"
        journal = self._journals / name
        actor = self._cluster.start_worker(name, self._setup, self._coordinator, journal)
        self._actors[name] = actor
        return asyncio.create_task(self._run_worker(name, actor, journal)), name

    async def _run_worker(
        self, name: str, actor: Any, journal: Path
    ) -> WorkerDone | WorkerFailed | None:
        if self._leases is not None:
            node = await self._cluster.node_of(actor)
            if node is None:
                return None
            try:
                location = JournalLocation(node, str(journal))
                await asyncio.to_thread(self._leases.register_worker, name, location)
            except StorageError as error:
                return WorkerFailed(error.message, error.hint, error.exit_code)
        return await self._cluster.run(actor)

    @property
    def actors(self) -> dict[str, Any]:
        """Actors of workers that have not ended, by name."""
        return dict(self._actors)

    def remove(self, name: str) -> Any:
        """A worker has ended: remove it. Returns its actor."""
        return self._actors.pop(name)

    def abandon(self) -> None:
        """Tell all workers not to wait for what is in flight."""
        for actor in self._actors.values():
            self._cluster.abandon(actor)

    def reset_losses(self) -> None:
        """A trial was finished: earlier losses do not count any more."""
        self._losses = 0

    def count_loss(self) -> StopReason | None:
        """Count a lost worker; returns why to stop when there are too many."""
        self._losses += 1
        if self._losses <= 2 + self._execution.workers:
            return None
        return StopReason(
            f"{self._losses} workers were lost, one after the other, without a trial done",
            EXIT_STORAGE,
            hint="look at memory and disk of the machines (ray logs), then run it again",
        )
