# pyright: reportMissingImports=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# Ray is an extra: the types must also be checked where it is not installed.
"""The Ray side: actors around coordinator and workers, and a Ray of our own where none is given.

Ray is imported here and nowhere else. Everything that can be thought about without it is in the
other modules.
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
from evalharness.distributed.coordinator_client import Talk
from evalharness.distributed.messages import (
    CoordinatorLostError,
    Ended,
    Failed,
    Setup,
    Work,
)
from evalharness.distributed.worker import Worker
from evalharness.errors import ConfigError, EvalharnessError, RunInUseError, StorageError
from evalharness.runner.gc_and_gil import quick_turns

_ANY: Any = ray  # its own annotations leave most of it unknown
# Plans and messages are small; Ray would take a third of the memory for its object store.
_STORE_BYTES = 256 * 2**20
_LOST: Any = object()
# What is asked of another node; a worker that still lives may take half of that. It is also more
# than Ray takes to notice that a node is lost.
_NODE_S = 60.0
_ASK_NODE_S = 1.0
_MOST_CALLS = 100_000  # each waiting worker holds a few


async def _call(coordinator: Any, name: str, *args: Any) -> Any:
    answer = getattr(coordinator, name).remote(*args)
    try:
        return await answer
    except RayError as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CoordinatorLostError(f"the coordinator is gone: {first}") from error


class _WorkerActor:
    """A worker in its own process."""

    def __init__(self, name: str, work: Work, coordinator: Any, journal: str) -> None:
        call = partial(_call, coordinator)
        self._make = lambda: Worker(name, work, Talk(name, call), Path(journal))
        self._worker: Worker | None = None

    async def run(self) -> Ended | Failed | None:
        """See :meth:`.worker.Worker.run`; None where the coordinator was lost while it began."""
        with quick_turns():
            try:
                self._worker = self._make()
                return await self._worker.run()
            except CoordinatorLostError:
                return None
            except EvalharnessError as error:
                return Failed(error.message, error.hint, error.exit_code)

    async def node(self) -> str:
        """The node it is on."""
        return _ANY.get_runtime_context().get_node_id()

    async def abandon(self) -> None:
        """See :meth:`.worker.Worker.abandon`."""
        if self._worker is not None:
            self._worker.abandon()


class Cluster:
    """Starts actors, and calls them."""

    def start_coordinator(self, setup: Setup) -> Any:
        """A coordinator; its methods are called with :meth:`call`."""
        here = NodeAffinitySchedulingStrategy(
            node_id=_ANY.get_runtime_context().get_node_id(), soft=True
        )  # so that no other machine's loss is the coordinator's
        actor = _ANY.remote(num_cpus=0, max_concurrency=_MOST_CALLS, scheduling_strategy=here)(
            Coordinator
        )
        return actor.remote(setup)

    def alive(self) -> list[str]:
        """See :class:`.worker_recovery.Nodes`."""
        return [node["NodeID"] for node in _ANY.nodes() if node["Alive"]]

    async def node_of(self, worker: Any) -> str | None:
        """The node a worker is on, once it is there; None when it is lost."""
        try:
            return await worker.node.remote()
        except (ActorDiedError, ActorUnavailableError):
            return None

    async def read_journal(self, node: str, folder: str) -> dict[str, bytes] | None:
        """See :class:`.worker_recovery.Nodes`."""
        found = await self._on_node(node, worker_recovery.read_journal, folder)
        if found is _LOST:
            return None
        if found is None:
            raise RunInUseError(f"the worker of {folder} is still alive")
        return found

    async def discard(self, node: str, folder: str) -> None:
        """See :class:`.worker_recovery.Nodes`."""
        await self._on_node(node, worker_recovery.discard_journal, folder)

    async def _on_node(self, node: str, what: Callable[[str], Any], folder: str) -> Any:
        """Call something on a node; ``_LOST`` where there is none of that name, or no more.

        Raises:
            StorageError: the node lives, and cannot do it: what is there is not lost.
        """
        there = NodeAffinitySchedulingStrategy(node_id=node, soft=False)
        task = _ANY.remote(num_cpus=0, scheduling_strategy=there, max_retries=0)(what)
        deadline = time.monotonic() + _NODE_S
        while node in self.alive():
            try:
                left_s = max(_ASK_NODE_S, deadline - time.monotonic())
                return await asyncio.wait_for(task.remote(folder), left_s)
            except RayTaskError as error:
                raise _unreachable(node, folder, error) from error
            except (RayError, TimeoutError) as error:
                # That a node is lost is known only when it has been silent for a while.
                if time.monotonic() > deadline and node in self.alive():
                    raise _unreachable(node, folder, error) from error
            await asyncio.sleep(_ASK_NODE_S)
        return _LOST

    def share(self, work: Work) -> Any:
        """Put what all workers need where all can read it."""
        return _ANY.put(work)

    def start_worker(self, name: str, work: Any, coordinator: Any, journal: Path) -> Any:
        """A worker, on a node that has a processor free for it."""
        actor = _ANY.remote(num_cpus=1, max_concurrency=16, scheduling_strategy="SPREAD")(
            _WorkerActor
        )
        return actor.remote(name, work, coordinator, str(journal))

    async def call(self, coordinator: Any, name: str, *args: Any) -> Any:
        """Call the coordinator.

        Raises:
            CoordinatorLostError: it is gone.
        """
        return await _call(coordinator, name, *args)

    async def run(self, worker: Any) -> Ended | Failed | None:
        """Let a worker work to its end; None when it, its node or its coordinator is lost."""
        try:
            return await worker.run.remote()
        except (ActorDiedError, ActorUnavailableError):
            return None

    def abandon(self, worker: Any) -> None:
        """Tell a worker not to wait for what is in flight."""
        worker.abandon.remote()

    def end(self, actor: Any) -> None:
        """End an actor's process."""
        _ANY.kill(actor)


def _unreachable(node: str, folder: str, error: Exception) -> StorageError:
    last = (str(error).strip().splitlines() or [type(error).__name__])[-1]
    return StorageError(
        f"node {node} is alive, and {folder} on it cannot be reached: {last}",
        hint="nothing there is lost; the same command fetches it once the node answers",
    )


@contextmanager
def cluster(execution: ExecutionConfig) -> Generator[Cluster]:
    """Connect to Ray, or start one on this machine that ends with the block.

    One of our own asks for a token where :func:`.ray_token.ask_for_token` was called before.

    Raises:
        ConfigError: no Ray answers at ``execution.address``, or it has too few processors.
    """
    # Ray would send statistics over the network.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    own = execution.address is None
    # Sockets lie in here, whose paths may have 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="evh-ray-")) if own else None
    try:
        if own:
            _ANY.init(
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
            _ANY.shutdown()
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _connect(execution: ExecutionConfig, quiet: dict[str, Any]) -> None:
    try:
        _ANY.init(address=execution.address, **quiet)
    except (ConnectionError, RayError, RuntimeError, ValueError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            f"execution.address: no Ray answers at {execution.address!r}: {first}",
            hint="ray status tells whether one is there, and RAY_AUTH_TOKEN_PATH must lead to its "
            "token; execution.address=null starts one on this machine",
        ) from None
    processors = int(_ANY.cluster_resources().get("CPU", 0))
    if processors < execution.workers:
        _ANY.shutdown()
        raise ConfigError(
            f"execution.workers={execution.workers}, and the cluster has {processors} processors",
            hint=f"execution.workers={processors}",
        )
