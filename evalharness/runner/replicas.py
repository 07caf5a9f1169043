"""Several addresses behind one name: which of them a request goes to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import structs

from evalharness.records import Reply, Status, Trial
from evalharness.runner.clients import Client
from evalharness.runner.queue import Job
from evalharness.runner.replica_health import ReplicaHealth

Routing = Literal["round_robin", "least_in_flight"]
Affinity = Literal["session", "prompt", "none"]


class Replicas:
    """Sends each request to one of several servers that stand for one endpoint.

    What belongs together by the affinity goes to one server, so that its prefix cache serves it. A
    request that failed is sent to another server, and so is the rest of what belongs to it.

    Args:
        clients: by address.
        routing: ``round_robin`` takes the addresses in turn; ``least_in_flight`` the one with the
            fewest requests of this process in flight, in turn among equals, and passes over those
            that failed a moment ago.
        affinity: what belongs together: ``session`` the turns of a conversation under one setting
            and repeat; ``prompt`` all repeats of a prompt, or of a conversation, under one setting;
            ``none`` nothing.
        health: which of them answer.
    """

    def __init__(
        self,
        clients: Mapping[str, Client],
        routing: Routing,
        affinity: Affinity,
        health: ReplicaHealth,
    ) -> None:
        self._clients = clients
        self._addresses = list(clients)
        self._routing: Routing = routing
        self._affinity: Affinity = affinity
        self._health = health
        self._next = 0
        self._in_flight = dict.fromkeys(clients, 0)
        self._bound: dict[tuple[str, str, int], str] = {}
        self._failed: dict[str, str] = {}  # by trial, the address that it failed at last

    @property
    def addresses(self) -> list[str]:
        """The addresses, in the order of the configuration."""
        return self._addresses

    async def complete(self, job: Job, client_request_id: str, *, keep_chunk_times: bool) -> Reply:
        """Send a job's request; the reply names the address that it came from."""
        address = self._choose(job)
        self._in_flight[address] += 1
        try:
            reply = await self._clients[address].complete(
                job.body,
                client_request_id,
                prompt=job.trial.prompt,
                keep_chunk_times=keep_chunk_times,
            )
        finally:
            self._in_flight[address] -= 1
        self._health.record(address, reply)
        if reply.status is Status.ERROR:
            self._failed[job.trial.trial_id] = address
        return structs.replace(reply, replica=address)

    def _choose(self, job: Job) -> str:
        failed_at = self._failed.pop(job.trial.trial_id, None)
        group = self._group(job.trial)
        if group is None:
            return self._take(failed_at)
        address = self._bound.get(group)
        if address is None or address == failed_at:
            address = self._bound[group] = self._take(failed_at)
        return address

    def _group(self, trial: Trial) -> tuple[str, str, int] | None:
        """What a trial belongs to; None where it goes anywhere."""
        prompt, setting_id = trial.prompt, trial.setting.setting_id
        if self._affinity == "prompt":
            return (prompt.conversation or prompt.prompt_id, setting_id, 0)
        if self._affinity == "session" and prompt.conversation is not None:
            return (prompt.conversation, setting_id, trial.repeat)
        return None

    def _take(self, avoid: str | None) -> str:
        """The next address by the routing; another than ``avoid`` where there is one."""
        count = len(self._addresses)
        in_turn = [self._addresses[(self._next + i) % count] for i in range(count)]
        candidates = [address for address in in_turn if address != avoid] or in_turn
        address = candidates[0]
        if self._routing == "least_in_flight":
            up = [each for each in candidates if not self._health.is_passed_over(each)]
            address = min(up or candidates, key=self._in_flight.__getitem__)
        self._next = (self._addresses.index(address) + 1) % count
        return address
