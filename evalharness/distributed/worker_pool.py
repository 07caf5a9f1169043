"""The workers that the driver has running: started, named, counted when they are lost."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalharness.config.models import ExecutionConfig
from evalharness.distributed.leases import Leases, Where
from evalharness.distributed.messages import Ended, Failed, Work
from evalharness.errors import EXIT_STORAGE, StorageError
from evalharness.runner.run_summary import Stop

if TYPE_CHECKING:
    from evalharness.distributed.actors import Cluster


class Crew:
    """Starts workers; each has a name that no other of the session has.

    Args:
        cluster: where they run.
        execution: how many, and where their journals are.
        root: the run folder.
        leases: told where journals are; None where they are in the shared folder.
    """

    def __init__(
        self, cluster: Cluster, execution: ExecutionConfig, root: Path, leases: Leases | None
    ) -> None:
        self._cluster = cluster
        self._execution = execution
        self._leases = leases
        self._coordinator: Any = None
        self._work: Any = None
        self._actors: dict[str, Any] = {}
        self._generation = 0
        self._losses = 0  # since a trial was finished
        self._journals = root.resolve() / "journal"
        if execution.journal_dir is not None:
            # A journal left on a lost node must never be met again under the same name.
            session = f"{root.resolve().name}-{secrets.token_hex(4)}"
            self._journals = Path(execution.journal_dir) / session

    @property
    def names(self) -> list[str]:
        """Workers that have not ended."""
        return [*self._actors]

    def serve(self, coordinator: Any, work: Work) -> None:
        """Workers started from now on do ``work``, and pull it from ``coordinator``."""
        self._coordinator, self._work = coordinator, self._cluster.share(work)

    def start(self) -> tuple[asyncio.Task[Ended | Failed | None], str]:
        """Start a worker: how it will end (see :meth:`.actors.Cluster.run`), and its name."""
        self._generation += 1
        name = f"worker-{self._generation:04d}"
        journal = self._journals / name
        actor = self._cluster.start_worker(name, self._work, self._coordinator, journal)
        self._actors[name] = actor
        return asyncio.create_task(self._let_work(name, actor, journal)), name

    async def _let_work(self, name: str, actor: Any, journal: Path) -> Ended | Failed | None:
        if self._leases is not None:
            node = await self._cluster.node_of(actor)
            if node is None:
                return None
            try:
                where = Where(node, str(journal))
                await asyncio.to_thread(self._leases.begin, name, where)
            except StorageError as error:
                return Failed(error.message, error.hint, error.exit_code)
        return await self._cluster.run(actor)

    def leave(self, name: str) -> Any:
        """A worker has ended: its actor, of which nothing more is expected."""
        return self._actors.pop(name)

    def abandon(self) -> None:
        """Tell all not to wait for what is in flight."""
        for actor in self._actors.values():
            self._cluster.abandon(actor)

    def progressed(self) -> None:
        """A trial was finished: losses before it do not count any more."""
        self._losses = 0

    def lost_another(self) -> Stop | None:
        """Count a worker that was lost; the stop that means when it is one too many."""
        self._losses += 1
        if self._losses <= 2 + self._execution.workers:
            return None
        return Stop(
            f"{self._losses} workers were lost, one after the other, without a trial done",
            EXIT_STORAGE,
            hint="look at memory and disk of the machines (ray logs), then run it again",
        )
