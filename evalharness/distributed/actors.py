# pyright: reportMissingImports=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# Ray is an extra: the types must also be checked where it is not installed.
"""Ray: actors around coordinator and workers.

Ray is imported here and in :mod:`.ray_start`, and nowhere else; the other modules work
without it.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from evalharness.distributed import worker_recovery
from evalharness.distributed.benchmark.worker import LoadWorker
from evalharness.distributed.coordinator import Coordinator
from evalharness.distributed.coordinator_client import CoordinatorClient
from evalharness.distributed.messages import (
    CoordinatorLostError,
    CoordinatorSetup,
    WorkerDone,
    WorkerFailed,
    WorkerSetup,
)
from evalharness.distributed.ray_cluster.health import (
    plain_first_line,
    wait_for_gcs_end,
    wait_for_raylet_end,
)
from evalharness.distributed.ray_cluster.keys import receive_keys
from evalharness.distributed.worker import ShardWorker
from evalharness.errors import EvalharnessError, RunInUseError, StorageError
from evalharness.process.tuning import tuned_interpreter

_ray: Any = ray  # most of it has no type annotations
_NODE_LOST: Any = object()
_WORKER_LOST = (ActorDiedError, ActorUnavailableError, ConnectionError)
# How long a node may take to answer; it is more than Ray needs to notice that a node is lost.
_NODE_TIMEOUT_S = 60.0
_NODE_RETRY_S = 1.0
_MAX_CALLS = 100_000  # each waiting worker holds a few


async def _call(coordinator: Any, name: str, *args: Any) -> Any:
    try:
        return await getattr(coordinator, name).remote(*args)
    except (RayError, ConnectionError) as error:
        raise CoordinatorLostError(f"the coordinator is gone: {plain_first_line(error)}") from error


class _WorkerActor:
    """A worker in its own process."""

    def __init__(
        self, name: str, setup: WorkerSetup, coordinator: Any, journal: str, keys: str | None
    ) -> None:
        if keys is not None:
            receive_keys(keys)
        call = partial(_call, coordinator)
        self._make: Callable[[], ShardWorker | LoadWorker] = lambda: ShardWorker(
            name, setup, CoordinatorClient(name, call), Path(journal)
        )
        self._worker: ShardWorker | LoadWorker | None = None

    async def run(self) -> WorkerDone | WorkerFailed | None:
        """See :meth:`.worker.ShardWorker.run`; None where the coordinator was lost at its start."""
        with tuned_interpreter():
            try:
                self._worker = self._make()
                return await self._worker.run()
            except CoordinatorLostError:
                return None
            except EvalharnessError as error:
                return WorkerFailed(error.message, error.hint, error.exit_code)

    async def node_id(self) -> str:
        """The node it runs on."""
        return _ray.get_runtime_context().get_node_id()

    async def abandon(self) -> None:
        """See :meth:`.worker.ShardWorker.abandon`."""
        if self._worker is not None:
            self._worker.abandon()


class _LoadWorkerActor(_WorkerActor):
    """A worker of a benchmark in its own process; see :class:`.load_worker.LoadWorker`."""

    def __init__(
        self, name: str, setup: WorkerSetup, coordinator: Any, journal: str, keys: str | None
    ) -> None:
        super().__init__(name, setup, coordinator, journal, keys)
        client = CoordinatorClient(name, partial(_call, coordinator))
        worker = LoadWorker(name, setup, client, Path(journal))
        self._load_worker = worker
        self._make = lambda: worker

    async def ask(self, name: str, *args: Any) -> Any:
        """Call one of the worker's methods."""
        answer = getattr(self._load_worker, name)(*args)
        return await answer if inspect.isawaitable(answer) else answer


class Cluster:
    """Starts actors, and calls them.

    Args:
        keys: the socket where workers find their keys; None where each node has them.

    Attributes:
        measures_load: whether workers are those of a benchmark.
        lost: why Ray cannot be reached any more, once it is; nothing waits for it then.
    """

    def __init__(self, keys: Path | None = None) -> None:
        self._keys = keys
        self.measures_load = False
        self._unheard: set[asyncio.Task[Any]] = set()
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def watch(self) -> str:
        """Wait until Ray's own servers end; returns the reason, which :attr:`lost` holds then.

        Ray ends a driver without servers. So what was started here is ended at once, and Ray leaves
        this process, which goes on to recover what workers have left.
        """
        node = _ray._private.worker._global_node
        if node is None:  # a client outside the cluster: its calls fail by themselves
            return await self.lost
        ends = {
            asyncio.create_task(wait_for_raylet_end(node.raylet_socket_name)),
            asyncio.create_task(wait_for_gcs_end(node.gcs_address)),
        }
        try:
            ended, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in ends:
                task.cancel()
        reason = ended.pop().result()
        self.lost.set_result(reason)
        if self._keys is not None:  # our own
            node.kill_all_processes(check_alive=False, allow_graceful=False)
        _ray.shutdown()
        return reason

    async def _answer(self, call: Awaitable[Any]) -> Any:
        """What a call answers.

        Raises:
            ConnectionError: Ray is lost.
        """
        answer = asyncio.ensure_future(_awaited(call))
        try:
            await asyncio.wait({answer, self.lost}, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                raise ConnectionError(self.lost.result())
            return answer.result()
        finally:
            # Ray Client prints a traceback when an answer comes that was cancelled.
            self._unheard.add(answer)
            answer.add_done_callback(self._discard)

    def _discard(self, answer: asyncio.Task[Any]) -> None:
        self._unheard.discard(answer)
        if not answer.cancelled():
            answer.exception()

    def start_coordinator(self, setup: CoordinatorSetup) -> Any:
        """Start a coordinator; its methods are called with :meth:`call`."""
        affinity = NodeAffinitySchedulingStrategy(
            node_id=_ray.get_runtime_context().get_node_id(), soft=True
        )  # so that the loss of another machine does not end it
        actor = _ray.remote(num_cpus=0, max_concurrency=_MAX_CALLS, scheduling_strategy=affinity)(
            Coordinator
        )
        return actor.remote(setup)

    def alive(self) -> list[str]:
        """See :class:`.worker_recovery.ClusterNodes`."""
        return [node["NodeID"] for node in _ray.nodes() if node["Alive"]]

    async def node_of(self, worker: Any) -> str | None:
        """The node a worker runs on, once it has started; None when it is lost."""
        try:
            return await self._answer(worker.node_id.remote())
        except _WORKER_LOST:
            return None

    async def read_journal(self, node: str, folder: str) -> dict[str, bytes] | None:
        """See :class:`.worker_recovery.ClusterNodes`."""
        files = await self._on_node(node, worker_recovery.read_journal, folder)
        if files is _NODE_LOST:
            return None
        if files is None:
            raise RunInUseError(f"the worker of {folder} is still alive")
        return files

    async def discard(self, node: str, folder: str) -> None:
        """See :class:`.worker_recovery.ClusterNodes`."""
        await self._on_node(node, worker_recovery.discard_journal, folder)

    async def _on_node(self, node: str, function: Callable[[str], Any], folder: str) -> Any:
        """Call a function on a node; ``_NODE_LOST`` where there is no such node (any more).

        Raises:
            StorageError: the node is alive, and the call failed; its files are not lost.
        """
        affinity = NodeAffinitySchedulingStrategy(node_id=node, soft=False)
        task = _ray.remote(num_cpus=0, scheduling_strategy=affinity, max_retries=0)(function)
        deadline = time.monotonic() + _NODE_TIMEOUT_S
        while not self.lost.done() and node in self.alive():
            try:
                left_s = max(_NODE_RETRY_S, deadline - time.monotonic())
                return await asyncio.wait_for(self._answer(task.remote(folder)), left_s)
            except RayTaskError as error:
                raise _unreachable(node, folder, error) from error
            except ConnectionError as error:
                raise _unreachable(node, folder, error) from error
            except (RayError, TimeoutError) as error:
                # Ray reports a node as lost only after it has not answered for a while.
                if time.monotonic() > deadline and node in self.alive():
                    raise _unreachable(node, folder, error) from error
            await asyncio.sleep(_NODE_RETRY_S)
        return _NODE_LOST

    def share(self, setup: WorkerSetup) -> Any:
        """Put it into the object store, where all workers can read it."""
        return _ray.put(setup)

    def start_worker(self, name: str, setup: Any, coordinator: Any, journal: Path) -> Any:
        """Start a worker on a node with a free processor."""
        kind = _LoadWorkerActor if self.measures_load else _WorkerActor
        actor = _ray.remote(num_cpus=1, max_concurrency=16, scheduling_strategy="SPREAD")(kind)
        keys = None if self._keys is None else str(self._keys)
        return actor.remote(name, setup, coordinator, str(journal), keys)

    async def call(self, coordinator: Any, name: str, *args: Any) -> Any:
        """Call the coordinator.

        Raises:
            CoordinatorLostError: it is gone.
        """
        if self.lost.done():
            raise CoordinatorLostError(self.lost.result())
        try:
            return await self._answer(_call(coordinator, name, *args))
        except ConnectionError as error:
            raise CoordinatorLostError(str(error)) from error

    async def run(self, worker: Any) -> WorkerDone | WorkerFailed | None:
        """Run a worker until it ends; None when it, its node or its coordinator is lost."""
        try:
            return await self._answer(worker.run.remote())
        except _WORKER_LOST:
            return None

    async def ask(self, worker: Any, name: str, *args: Any) -> Any:
        """Call a method of a benchmark's worker.

        Raises:
            ConnectionError: it, its node or Ray is lost.
        """
        try:
            return await self._answer(worker.ask.remote(name, *args))
        except (ActorDiedError, ActorUnavailableError) as error:
            raise ConnectionError(plain_first_line(error)) from error

    def abandon(self, worker: Any) -> None:
        """Tell a worker not to wait for what is in flight."""
        if not self.lost.done():
            worker.abandon.remote()

    def kill(self, actor: Any) -> None:
        """End an actor's process."""
        if not self.lost.done():
            _ray.kill(actor)


async def _awaited(call: Awaitable[Any]) -> Any:
    return await call  # an object reference is no coroutine, of which a task could be made


def _unreachable(node: str, folder: str, error: Exception) -> StorageError:
    last_line = (str(error).strip().splitlines() or [type(error).__name__])[-1]
    return StorageError(
        f"node {node} is alive, and {folder} on it cannot be reached: {last_line}",
        hint="nothing there is lost; the same command fetches it once the node answers",
    )
