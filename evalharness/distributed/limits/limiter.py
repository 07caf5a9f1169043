"""A worker's limiter: it admits requests that the coordinator's slot server grants.

To the runner it is an :class:`~evalharness.throttle.limiter.EndpointLimiter` like any other. Retry
decisions are made here, by the same policy. What a decision means for all workers (a pause, an
outage, a stop) is sent to the coordinator with the next message, before any grant is asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from msgspec import structs

from evalharness.config.models import LimitsConfig, Profile
from evalharness.distributed.limits.slot_lease import SlotLease
from evalharness.distributed.limits.slot_messages import Broadcast, SlotClient
from evalharness.distributed.limits.slot_server import SlotRequest, SlotResponse
from evalharness.distributed.limits.wait_queue import QueuedRequest, WaitQueue
from evalharness.records import Reply
from evalharness.throttle.blocking import EndpointBlock
from evalharness.throttle.clock import Clock
from evalharness.throttle.limiter import EndpointLimiter
from evalharness.throttle.permit import Permit
from evalharness.throttle.retry_policy import Decision
from evalharness.throttle.token_bucket import Reservation
from evalharness.throttle.waiters import NO_BUDGET, BlockReason, LimiterClosed, WaitState

# Messages are at least this far apart; what happens in between is sent with the next one.
MESSAGE_EVERY_S = 0.01
# A worker that holds slots reports at least this often, and learns how many it may hold.
HEARTBEAT_S = 0.25
_MAX_REQUESTED = 1_024


class SharedLimiter(EndpointLimiter):
    """Admits requests of one worker to an endpoint whose limits are shared.

    Use it as an asynchronous context manager: inside, it exchanges messages with the server.

    Args:
        name: the endpoint, for messages.
        limits: of the whole run.
        profile: what differs between providers.
        clock: where time comes from.
        rng_seed: of the backoff's jitter; another one for every worker.
        client: where grants come from.
        needs_grant: whether every request needs a grant; otherwise an idle slot is enough.

    Attributes:
        on_lost: called with the reason when the server cannot be reached; the limiter is closed
            then.
    """

    def __init__(
        self,
        name: str,
        limits: LimitsConfig,
        profile: Profile,
        clock: Clock,
        rng_seed: int = 0,
        *,
        client: SlotClient,
        needs_grant: bool,
    ) -> None:
        own_limits = structs.replace(limits, rpm=None, tpm=None, adaptive=False)
        super().__init__(name, own_limits, profile, clock, rng_seed)
        # Another worker may have reached it: this one cannot know that the address is wrong.
        self.mark_reached()
        self._client = client
        self._needs_grant = needs_grant
        self._lease = SlotLease(self._slots, limits.concurrency)
        self._wait_queue = WaitQueue()
        self._last_response: SlotResponse | None = None
        self._responded_at = 0.0
        self.on_lost: Callable[[Exception], None] = lambda _: None
        self._message_due = asyncio.Event()
        self._messages: asyncio.Task[None] | None = None
        self._closing = False

    async def __aenter__(self) -> SharedLimiter:
        self._messages = asyncio.create_task(self._exchange_messages())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._messages is not None
        # Not in the middle of a message: its response may bring slots.
        self._closing = True
        self._message_due.set()
        await self._messages

    @property
    def prefetch_size(self) -> int:
        """None: see :meth:`admit`."""
        return 0

    @property
    def limit(self) -> int:
        """Slots this worker may hold now."""
        return self._lease.max_held

    async def admit(
        self,
        tokens_estimate: int = 0,
        *,
        reserve: Callable[[], bool] | None = None,
        patient: bool = True,
        early: bool = False,
    ) -> Permit:
        """Wait until one request may go (see :meth:`EndpointLimiter.admit`).

        Nobody is admitted early: another worker may need the slot meanwhile.
        """
        if self._closed is not None:
            raise LimiterClosed(self._closed.decision)
        waiter = QueuedRequest(tokens_estimate, reserve, patient=patient)
        if not self._wait_queue and self._can_send_without_grant() and waiter.reserve():
            return self._issue_permit(None)
        self._wait_queue.append(waiter)
        self._reject_impatient()
        self._message_due.set()
        try:
            return await waiter.permit
        except asyncio.CancelledError:
            self._wait_queue.discard(waiter)
            raise

    def wake(self) -> None:
        """Budget may have become free: try the first request again if it waited for that."""
        if self._wait_queue.lacks_budget:
            self._wait_queue[0].lacks_budget = False
            self._admit_with_idle_slots()
            self._message_due.set()

    def pause(self, seconds: float, reason: str) -> None:
        """Admit nobody for ``seconds``: here at once, elsewhere when the broadcast arrives."""
        self._blocking.pause.begin(self._clock.monotonic(), seconds, reason)
        self._broadcast(Broadcast(pause_s=seconds, reason=reason))
        self._reject_impatient()

    def apply(self, decision: Decision) -> Decision:
        """Apply a decision here, and broadcast what it means for all workers."""
        was_in_outage = self._was_in_outage
        super().apply(decision)
        if was_in_outage != self._was_in_outage:
            self._broadcast(Broadcast(serving=was_in_outage, reason=decision.reason))
            self._apply_outage()
        return decision

    def on_broadcast(self, broadcast: Broadcast) -> None:
        """Apply what another worker has broadcast."""
        now = self._clock.monotonic()
        if broadcast.pause_s is not None:
            self._blocking.pause.begin(now, broadcast.pause_s, broadcast.reason)
        if broadcast.serving is True:
            self.policy.outage.end()
        elif broadcast.serving is False:
            self.policy.outage.begin(now)
        self._was_in_outage = self.policy.outage.active
        self._apply_outage()
        self._message_due.set()

    def _apply_outage(self) -> None:
        if not self.policy.outage.active:
            self._blocking.shared_block = None
        self._reject_impatient()

    def _reject_impatient(self) -> None:
        """While nobody is admitted, a caller that is not patient may do something else."""
        now = self._clock.monotonic()
        block = self._blocking.at(now)
        if block is not None:
            self._wait_queue.reject_impatient(block, now)

    def wait_state(self) -> WaitState | None:
        """What the first request waits for, as the server said last."""
        response = self._last_response
        if self._wait_queue.lacks_budget:
            return WaitState.of(NO_BUDGET, 0.0, len(self._wait_queue))
        if not self._wait_queue or response is None or response.reason is None:
            return None
        until = None if response.until_s is None else self._responded_at + response.until_s
        now = self._clock.monotonic()
        return WaitState.of(BlockReason(response.reason, until), now, len(self._wait_queue))

    def close(self, decision: Decision | None = None) -> None:
        """Admit nothing from now on (see :meth:`EndpointLimiter.close`)."""
        super().close(decision)
        self._wait_queue.close(decision)

    def release(
        self, permit: Permit, tokens: Reservation | int | None, reply: Reply | None
    ) -> None:
        """Take a permit back: its slot is for the next request, or is returned."""
        self._slots.in_flight -= 1
        if isinstance(tokens, int):
            self._lease.record_usage(tokens, reply)
        if reply is not None and self._needs_grant:
            self._lease.record_signal(reply, self._clock.monotonic() - permit.admitted_at)
        self._lease.return_excess()
        self._admit_with_idle_slots()
        if self._wait_queue or self._needs_grant:
            self._message_due.set()

    def release_to_next(
        self, permit: Permit, tokens: Reservation | int | None, reply: Reply | None
    ) -> None:
        """As :meth:`release`: no request is prepared, since another worker may need the slot."""
        self.release(permit, tokens, reply)

    # ── slots ────────────────────────────────────────────────────────────────────────────────

    def _can_send_without_grant(self) -> bool:
        """Whether an idle slot is enough to send one more request."""
        if self._needs_grant or not self._lease.spare:
            return False
        if self.policy.outage.active:  # one probe for all workers
            return False
        return self._blocking.at(self._clock.monotonic()) is None

    def _issue_permit(self, number: int | None) -> Permit:
        now = self._clock.monotonic()
        return Permit(self, now, self._slots.take(now), number)

    def _admit_with_idle_slots(self) -> None:
        """Admit requests that need no more than an idle slot."""
        while (
            self._wait_queue
            and not self._wait_queue[0].lacks_budget
            and self._can_send_without_grant()
        ):
            self._admit_first(None)

    def _admit_first(self, number: int | None) -> None:
        """Admit the first request, unless there is no budget for it: then it stays first."""
        waiter = self._wait_queue[0]
        cancelled = waiter.permit.done()  # its caller has given up waiting
        try:
            if not cancelled and not waiter.reserve():
                self._lease.drop_grant(number)
                return
        except Exception as error:
            self._wait_queue.popleft()
            waiter.permit.set_exception(error)
            self._lease.drop_grant(number)
            return
        self._wait_queue.popleft()
        permit = self._issue_permit(number)
        if cancelled:
            permit.release(None)
        else:
            waiter.permit.set_result(permit)

    # ── messages ─────────────────────────────────────────────────────────────────────────────

    def _broadcast(self, broadcast: Broadcast) -> None:
        self._lease.broadcasts.append(broadcast)
        self._message_due.set()

    async def _exchange_messages(self) -> None:
        """Send one message at a time, each with everything new; the last returns all slots."""
        wait_s = HEARTBEAT_S
        try:
            while not self._closing:
                await self._clock.wait_for(self._message_due, wait_s)
                self._message_due.clear()
                response = await self._send_message(*self._message())
                wait_s = (
                    HEARTBEAT_S if response.wait_s is None else min(response.wait_s, HEARTBEAT_S)
                )
                await self._clock.sleep_until(self._clock.monotonic() + MESSAGE_EVERY_S)
            self._lease.return_all()
            await self._send_message(*self._lease.message((), 0))
        except Exception as error:  # without grants nothing is sent any more
            self.close()
            self.on_lost(error)

    def _message(self) -> tuple[SlotRequest, list[Broadcast]]:
        if not self._wait_queue:
            self._lease.return_idle()
        return self._lease.message(
            self._wait_queue.token_estimates(_MAX_REQUESTED), self._lease.idle
        )

    async def _send_message(
        self, request: SlotRequest, broadcasts: list[Broadcast]
    ) -> SlotResponse:
        response = await self._client.request_slots(request, broadcasts)
        self._last_response, self._responded_at = response, self._clock.monotonic()
        self._lease.apply(response)
        if response.blocked and response.until_s is not None and response.reason is not None:
            self._blocking.shared_block = EndpointBlock(
                response.reason, self._responded_at + response.until_s
            )
            self._reject_impatient()
        for number in response.grants:
            if self._wait_queue and not self._wait_queue[0].lacks_budget:
                self._admit_first(number)
            else:  # nobody waits any more, or there is no budget
                self._lease.drop_grant(number)
        self._lease.return_excess()
        return response
