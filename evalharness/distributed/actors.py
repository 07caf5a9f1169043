# pyright: reportMissingImports=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# Ray is an extra: the types must also be checked where it is not installed.
"""Ray: actors around coordinator and workers, and a local cluster where none is given.

Ray is imported here and nowhere else; the other modules work without it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from evalharness.config.models import ExecutionConfig
from evalharness.distributed import worker_recovery
from evalharness.distributed.coordinator import Coordinator
from evalharness.distributed.coordinator_client import CoordinatorClient
from evalharness.distributed.messages import (
    CoordinatorLostError,
    CoordinatorSetup,
    WorkerDone,
    WorkerFailed,
    WorkerSetup,
)
from evalharness.distributed.worker import ShardWorker
from evalharness.errors import ConfigError, EvalharnessError, RunInUseError, StorageError
from evalharness.process.tuning import tuned_interpreter

_ray: Any = ray  # most of it has no type annotations
# Plans and messages are small; Ray would take a third of the memory for its object store.
_STORE_BYTES = 256 * 2**20
_NODE_LOST: Any = object()
# How long a node may take to answer; it is more than Ray needs to notice that a node is lost.
_NODE_TIMEOUT_S = 60.0
_NODE_RETRY_S = 1.0
_MAX_CALLS = 100_000  # each waiting worker holds a few


async def _call(coordinator: Any, name: str, *args: Any) -> Any:
    answer = getattr(coordinator, name).remote(*args)
    try:
        return await answer
    except RayError as error:
        first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CoordinatorLostError(f"the coordinator is gone: {first_line}") from error


class _WorkerActor:
    """A worker in its own process."""

    def __init__(self, name: str, setup: WorkerSetup, coordinator: Any, journal: str) -> None:
        call = partial(_call, coordinator)
        self._make = lambda: ShardWorker(name, setup, CoordinatorClient(name, call), Path(journal))
        self._worker: ShardWorker | None = None

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


class Cluster:
    """Starts actors, and calls them."""

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
            return await worker.node_id.remote()
        except (ActorDiedError, ActorUnavailableError):
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
        while node in self.alive():
            try:
                left_s = max(_NODE_RETRY_S, deadline - time.monotonic())
                return await asyncio.wait_for(task.remote(folder), left_s)
            except RayTaskError as error:
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
        actor = _ray.remote(num_cpus=1, max_concurrency=16, scheduling_strategy="SPREAD")(
            _WorkerActor
        )
        return actor.remote(name, setup, coordinator, str(journal))

    async def call(self, coordinator: Any, name: str, *args: Any) -> Any:
        """Call the coordinator.

        Raises:
            CoordinatorLostError: it is gone.
        """
        return await _call(coordinator, name, *args)

    async def run(self, worker: Any) -> WorkerDone | WorkerFailed | None:
        """Run a worker until it ends; None when it, its node or its coordinator is lost."""
        try:
            return await worker.run.remote()
        except (ActorDiedError, ActorUnavailableError):
            return None

    def abandon(self, worker: Any) -> None:
        """Tell a worker not to wait for what is in flight."""
        worker.abandon.remote()

    def kill(self, actor: Any) -> None:
        """End an actor's process."""
        _ray.kill(actor)


def _unreachable(node: str, folder: str, error: Exception) -> StorageError:
    last_line = (str(error).strip().splitlines() or [type(error).__name__])[-1]
    return StorageError(
        f"node {node} is alive, and {folder} on it cannot be reached: {last_line}",
        hint="nothing there is lost; the same command fetches it once the node answers",
    )


@contextmanager
def cluster(execution: ExecutionConfig) -> Generator[Cluster]:
    """Connect to Ray, or start one on this machine that ends with the block.

    A local one requires a token where :func:`.ray_token.require_token` was called before.

    Raises:
        ConfigError: no Ray answers at ``execution.address``, or it has too few processors.
    """
    # Ray would send statistics over the network.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    own = execution.address is None
    # It holds sockets, whose paths may have 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="evh-ray-")) if own else None
    try:
        if own:
            _ray.init(
                num_cpus=execution.workers,
                include_dashboard=False,
                object_store_memory=_STORE_BYTES,
                _temp_dir=str(folder),
                **quiet,
            )
        else:
            _connect(execution, quiet)
        try:
            yield Cluster()
        finally:
            _ray.shutdown()
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _connect(execution: ExecutionConfig, quiet: dict[str, Any]) -> None:
    try:
        _ray.init(address=execution.address, **quiet)
    except (ConnectionError, RayError, RuntimeError, ValueError) as error:
        first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            f"execution.address: no Ray answers at {execution.address!r}: {first_line}",
            hint="ray status tells whether one is there, and RAY_AUTH_TOKEN_PATH must lead to its "
            "token; execution.address=null starts one on this machine",
        ) from None
    processors = int(_ray.cluster_resources().get("CPU", 0))
    if processors < execution.workers:
        _ray.shutdown()
        raise ConfigError(
            f"execution.workers={execution.workers}, and the cluster has {processors} processors",
            hint=f"execution.workers={processors}",
        )
