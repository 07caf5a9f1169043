"""A worker's calls to its coordinator."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Protocol

from evalharness.distributed.limits.budget_server import Allowance
from evalharness.distributed.limits.slot_messages import Broadcast
from evalharness.distributed.limits.slot_server import SlotRequest, SlotResponse
from evalharness.distributed.messages import CounterDelta, ShardAssignment, WorkerNotice
from evalharness.distributed.shard_board import Shard
from evalharness.errors import StorageError
from evalharness.runner.run_summary import StopReason
from evalharness.store.parts.seal import SealedParts


class CoordinatorCall(Protocol):
    """Calls a method of the coordinator."""

    async def __call__(self, name: str, *args: Any) -> Any:
        """What it answers."""
        ...


class CoordinatorClient:
    """Calls to the coordinator; see :class:`.worker.CoordinatorApi`.

    Args:
        worker: who calls.
        call: calls one of the coordinator's methods, by name; a connection that fails is
            :class:`.messages.CoordinatorLostError`.
    """

    def __init__(self, worker: str, call: CoordinatorCall) -> None:
        self._worker = worker
        self._call = call

    def slot_client(self, endpoint: str) -> _EndpointSlots:
        """How the slot server of an endpoint is reached."""
        return _EndpointSlots(self, endpoint)

    async def request_slots(
        self, endpoint: str, request: SlotRequest, broadcasts: Sequence[Broadcast]
    ) -> SlotResponse:
        """Pass on ``broadcasts``, then ask for grants at an endpoint."""
        return await self._call("request_slots", self._worker, endpoint, request, broadcasts)

    async def register(self) -> None:
        """Begin to get notices."""
        await self._call("register", self._worker)

    async def next_notices(self) -> list[WorkerNotice]:
        """Wait for notices."""
        return await self._call("next_notices", self._worker)

    async def stop(self, decision: StopReason) -> None:
        """Stop all workers."""
        await self._call("stop", decision)

    async def report_progress(self, counters: CounterDelta) -> None:
        """Report what was done since the last time."""
        await self._call("report_progress", self._worker, counters)

    async def take_shard(self) -> ShardAssignment:
        """Take the next shard."""
        return await self._call("take_shard", self._worker)

    async def request_budget(
        self, need: Decimal, committed_usd: Decimal, available_usd: Decimal
    ) -> Allowance:
        """Ask for room for ``need`` more; the rest as in :meth:`report_budget`."""
        return await self._call("request_budget", self._worker, need, committed_usd, available_usd)

    async def report_budget(self, committed_usd: Decimal, available_usd: Decimal) -> bool:
        """Report how the allowance was used; returns whether others need what is available."""
        return await self._call("report_budget", self._worker, committed_usd, available_usd)

    async def release_budget(self, amount: Decimal) -> Decimal:
        """Lower the allowance; returns the new one."""
        return await self._call("release_budget", self._worker, amount)

    async def next_part_number(self) -> int:
        """A number that no other part has."""
        number = await self._call("next_part_number", self._worker)
        if number is None:
            raise StorageError("the run ended before records were sealed")
        return number

    async def list_parts(self, sealed: SealedParts) -> str | None:
        """Wait until the manifest lists these parts; why it cannot, None when it does."""
        return await self._call("list_parts", self._worker, sealed)

    async def finish_shards(self, shards: list[Shard]) -> None:
        """Every trial of these shards is in a part."""
        await self._call("finish_shards", self._worker, shards)


class _EndpointSlots:
    def __init__(self, client: CoordinatorClient, endpoint: str) -> None:
        self._client, self._endpoint = client, endpoint

    async def request_slots(
        self, request: SlotRequest, broadcasts: Sequence[Broadcast]
    ) -> SlotResponse:
        return await self._client.request_slots(self._endpoint, request, broadcasts)
