"""The retry table: what follows from one reply.

There is one retry loop in the project, and this decides for it. Which row of the table a reply
belongs to is in :mod:`.retry_rules`; the number of attempts is bounded in every row, and an answer
that was delivered is never asked for again.
"""

from __future__ import annotations

import random
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec
from msgspec import structs

from evalharness.config.models import LimitsConfig, Profile
from evalharness.errors import (
    AccountError,
    ConfigError,
    EvalharnessError,
)
from evalharness.records import ErrorKind, Outcome, Reply
from evalharness.throttle.circuit_breaker import (
    AccountBreaker,
    Outage,
    RepeatedErrorBreaker,
    RetryBudget,
)
from evalharness.throttle.clock import Clock, SystemClock
from evalharness.throttle.retry_after import parse_retry_after
from evalharness.throttle.retry_rules import Rule, rule_of

BACKOFF_BASE_S = 1.0
BACKOFF_CAP_S = 60.0
QUOTA_WAIT_S = 60.0
FEW_RETRIES = 2


class Action(StrEnum):
    """What the runner does next."""

    FINAL = "final"  # the reply is the trial's record
    RETRY = "retry"  # again after wait_s, outside any slot
    PARK = "park"  # to the end of the queue; the limiter sends one probe at a time
    STOP_ACCOUNT = "stop_account"  # start nothing new, drain, exit 3
    STOP_CONFIG = "stop_config"  # start nothing new, drain, exit 2


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What follows from a reply.

    Attributes:
        action: what to do next.
        reason: why, in words for people.
        final: the reply becomes the trial's record. False for a stop that is not the trial's
            fault: a resumed run sends that trial again.
        wait_s: seconds before this trial's next attempt; None where none is due.
        pause_endpoint_s: seconds for which nobody may send to this endpoint; None is no pause.
    """

    action: Action
    reason: str
    final: bool = False
    wait_s: float | None = None
    pause_endpoint_s: float | None = None

    @property
    def stops(self) -> bool:
        """Whether nothing new may be started."""
        return self.action in _ERRORS

    def error(self, *, hint: str | None = None) -> EvalharnessError:
        """The error that ends the command, for a stop.

        Raises:
            ValueError: this decision stops nothing.
        """
        if self.action not in _ERRORS:
            raise ValueError(f"{self.action} stops nothing")
        return _ERRORS[self.action](self.reason, hint=hint)


_DELIVERED = Decision(action=Action.FINAL, reason="delivered", final=True)
_ERRORS: dict[Action, type[EvalharnessError]] = {
    Action.STOP_ACCOUNT: AccountError,
    Action.STOP_CONFIG: ConfigError,
}


_TIMEOUTS = frozenset(kind for kind in ErrorKind if kind.value.endswith("_timeout"))
# Rules under which a reply is evidence that the endpoint serves nobody.
_TROUBLE = frozenset(
    {Rule.NOT_SENT, Rule.UNAVAILABLE, Rule.SERVER_ERROR, Rule.RATE_LIMITED, Rule.QUOTA}
)
_SILENCE = _TIMEOUTS | {ErrorKind.CONNECTION_LOST}
# 429 costs no retry budget: the shared pause is the brake there.
_WITHOUT_BUDGET = frozenset({Rule.RATE_LIMITED, Rule.QUOTA})
_STATED_PAUSE = _TROUBLE | {Rule.CONFLICT}


class _Case(NamedTuple):
    """One reply with all that its decision depends on."""

    reply: Reply
    rule: Rule
    attempt: int
    in_doubt_count: int
    same_error_count: int
    now: float
    backoff_s: float
    pause_s: float | None  # what the server asked for; the backoff on a 429 without retry-after
    why: str


class RetryPolicy:
    """Decides about every reply of one endpoint, and feeds its breakers.

    Args:
        limits: ``max_attempts``, ``in_doubt_retries`` and ``max_wait_s`` are used.
        profile: the provider's words for a dead account.
        clock: where time comes from.
        seed: of the jitter.
        address: where the endpoint is, for messages; empty: not shown.

    Attributes:
        ever_reached: whether any request ever arrived there; set it where an earlier process
            knows that.
    """

    def __init__(
        self,
        limits: LimitsConfig,
        profile: Profile,
        *,
        clock: Clock | None = None,
        seed: int = 0,
        address: str = "",
    ) -> None:
        self.budget = RetryBudget()
        self.outage = Outage()
        self.ever_reached = False
        self._address = address
        self._limits = limits
        self._free_errors = profile.failed_calls_billed is False
        self._account = AccountBreaker(profile)
        self._repeated_error = RepeatedErrorBreaker()
        self._clock: Clock = clock if clock is not None else SystemClock()
        self._random = random.Random(seed)

    def decide(
        self,
        reply: Reply,
        attempt: int,
        in_doubt_count: int,
        *,
        same_error_count: int | None = None,
        sent_at: float | None = None,
    ) -> Decision:
        """What follows from the reply to one attempt. Call it once per attempt, as it comes.

        Args:
            reply: what came.
            attempt: its number within the trial, from 1.
            in_doubt_count: earlier attempts of the trial whose outcome stayed unknown.
            same_error_count: earlier attempts of the trial that ended with this ``error_kind``;
                None counts every earlier attempt as one.
            sent_at: when the attempt was sent (monotonic); None counts it as sent after every
                earlier failure came.
        """
        self.ever_reached = self.ever_reached or reply.outcome is not Outcome.NOT_SENT
        if reply.outcome is Outcome.DELIVERED:
            return self._delivered(reply, attempt)
        now, rule, why = self._clock.monotonic(), rule_of(reply), _describe(reply)
        fatal = self._account.fatal_reason(reply, now, sent_at)
        if fatal is not None:
            return Decision(action=Action.STOP_ACCOUNT, reason=f"{fatal} ({why})")
        if rule is Rule.STOP:
            return Decision(action=Action.STOP_CONFIG, reason=_unreachable(reply, why))
        if self._probe_never_reached(rule, sent_at):
            return Decision(action=Action.STOP_CONFIG, reason=self._never_reached(reply, why))
        self._note_health(reply, rule, now, sent_at)
        requested_s = requested_wait_s(reply, self._clock.now_ns())
        if requested_s is not None and requested_s > self._limits.max_wait_s:
            reason = (
                f"the server asks to wait {requested_s:.0f} s, "
                f"above limits.max_wait_s={self._limits.max_wait_s:g} ({why})"
            )
            return Decision(action=Action.STOP_ACCOUNT, reason=reason)
        if same_error_count is None:
            same_error_count = attempt - 1
        backoff = self._backoff(rule, attempt)
        pause = backoff if requested_s is None and rule in _WITHOUT_BUDGET else requested_s
        if rule is Rule.QUOTA:
            pause = max(backoff, requested_s or 0.0)
        case = _Case(
            reply, rule, attempt, in_doubt_count, same_error_count, now, backoff, pause, why
        )
        decision = self._retry_or_park(case) if self._may_repeat(case) else _final(case)
        return self._unless_all_same(decision, reply) if decision.final else decision

    def _delivered(self, reply: Reply, attempt: int) -> Decision:
        self.budget.record_success(attempt)
        self.outage.end()
        self._account.record_success()
        self._repeated_error.record_result(reply)
        return _DELIVERED

    def _may_repeat(self, case: _Case) -> bool:
        """Whether the table has another attempt for this trial."""
        limits = self._limits
        if case.attempt >= limits.max_attempts or case.rule is Rule.PERMANENT:
            return False
        if case.rule is Rule.IN_DOUBT:
            return case.in_doubt_count < limits.in_doubt_retries
        if case.rule is Rule.SERVER_ERROR:
            # Where no request may be bought twice, these may not be either, unless the provider
            # is known to bill nothing for them.
            allowed = FEW_RETRIES if self._free_errors or limits.in_doubt_retries > 0 else 0
            in_doubt_count = 0 if self._free_errors else case.in_doubt_count
            return max(case.same_error_count, in_doubt_count) < allowed
        return case.rule is not Rule.CONFLICT or case.same_error_count < FEW_RETRIES

    def _retry_or_park(self, case: _Case) -> Decision:
        if case.rule not in _WITHOUT_BUDGET and not self.outage.active:
            timed_out = case.reply.error_kind in _TIMEOUTS
            if not self.budget.spend(RetryBudget.TIMEOUT if timed_out else RetryBudget.RETRY):
                self.outage.begin(case.now)
        if self.outage.active:
            return Decision(
                action=Action.PARK,
                reason=f"the endpoint serves nothing at present; one probe every "
                f"{Outage.PROBE_S:.0f} s ({case.why})",
                wait_s=max(self.outage.delay(case.now), case.pause_s or 0.0),
                pause_endpoint_s=case.pause_s,
            )
        return Decision(
            action=Action.RETRY,
            reason=case.why,
            wait_s=max(case.backoff_s, case.pause_s or 0.0),
            pause_endpoint_s=case.pause_s,
        )

    def _backoff(self, rule: Rule, attempt: int) -> float:
        """Full jitter: uniform in [0, min(60 s, 1 s · 2^(attempt−1))]; a quota needs its minute."""
        cap = min(BACKOFF_CAP_S, BACKOFF_BASE_S * 2.0 ** min(attempt - 1, 30))
        wait = min(self._random.uniform(0.0, cap), self._limits.max_wait_s)
        return wait + QUOTA_WAIT_S if rule is Rule.QUOTA else wait

    def _probe_never_reached(self, rule: Rule, sent_at: float | None) -> bool:
        """Whether a probe failed at an endpoint never reached: a wrong address, no outage."""
        outage = self.outage
        probe = outage.active and (sent_at is None or sent_at >= outage.began_at)
        return probe and rule is Rule.NOT_SENT and not self.ever_reached

    def _never_reached(self, reply: Reply, why: str) -> str:
        where = self._address or "the endpoint"
        key = "is provider.base_url" if reply.replica is None else "are provider.base_urls"
        return f"no request ever reached {where} ({_server_message(reply) or why}): {key} right?"

    def _note_health(self, reply: Reply, rule: Rule, now: float, sent_at: float | None) -> None:
        if rule in _TROUBLE or reply.error_kind in _SILENCE:
            where = reply.replica or self._address
            self.outage.reason = (f"{where}: " if where else "") + (
                _server_message(reply) or _describe(structs.replace(reply, replica=None))
            )
            self.outage.record_failure(now, sent_at)
        elif rule is not Rule.IN_DOUBT:
            self.outage.end()

    def _unless_all_same(self, decision: Decision, reply: Reply) -> Decision:
        if not self._repeated_error.record_result(reply):
            return decision
        count = RepeatedErrorBreaker.RESULTS
        reason = f"the first {count} results are all the same error: {_describe(reply)}"
        return Decision(action=Action.STOP_CONFIG, reason=reason, final=True)


def requested_wait_s(reply: Reply, now_ns: int) -> float | None:
    """Seconds for which a refusal asks every sender to wait; None where it asks nothing.

    Of what its headers and its body ask, the longer.

    Args:
        reply: what came.
        now_ns: wall clock when it came, nanoseconds since the Unix epoch.
    """
    if reply.outcome is Outcome.DELIVERED or rule_of(reply) not in _STATED_PAUSE:
        return None
    waits = (parse_retry_after(reply.headers, now_ns), reply.retry_after_s)
    return max((wait for wait in waits if wait is not None), default=None)


def _final(case: _Case) -> Decision:
    """No further attempt for this trial; a pause still holds for everybody else."""
    reason = case.why if case.attempt == 1 else f"{case.why}, after {case.attempt} attempts"
    return Decision(action=Action.FINAL, reason=reason, final=True, pause_endpoint_s=case.pause_s)


def _describe(reply: Reply) -> str:
    """The error in one line: which of several servers, status, kind, code, its message."""
    head = [] if reply.replica is None else [f"{reply.replica}:"]
    if reply.http_status is not None:
        head.append(str(reply.http_status))
    head.append(reply.error_kind.value if reply.error_kind is not None else "error")
    if reply.error_code:
        head.append(reply.error_code[:80])
    message = _server_message(reply)
    return " ".join(head) + (f": {message}" if message else "")


def _server_message(reply: Reply) -> str:
    return " ".join((reply.error_message or "").split())[:200]


def _unreachable(reply: Reply, why: str) -> str:
    if reply.error_kind is ErrorKind.REDIRECT:
        return f"the endpoint redirects to {_host(reply)}, not followed ({why})"
    return f"the endpoint cannot be reached as configured ({why})"


def _host(reply: Reply) -> str:
    """Where a redirect leads: the host alone, since the rest may hold a token."""
    try:
        return urlsplit(reply.headers.get("location", "")).hostname or "another address"
    except ValueError:
        return "another address"
