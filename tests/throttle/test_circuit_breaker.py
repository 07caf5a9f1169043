"""What stops a run for everybody: account, repeated errors, outage."""

import pytest

from evalharness.config.models import LimitsConfig, Profile
from evalharness.records import ErrorKind, Reply
from evalharness.throttle.circuit_breaker import Outage, RetryBudget
from evalharness.throttle.retry_policy import Action, RetryPolicy
from tests.throttle.manual_clock import ManualClock
from tests.throttle.replies import delivered, failed


def policy(clock: ManualClock | None = None, **profile) -> RetryPolicy:
    return RetryPolicy(LimitsConfig(), Profile(**profile), clock=clock or ManualClock(), seed=1)


def act(decider: RetryPolicy, reply: Reply, attempt: int = 1) -> Action:
    return decider.decide(reply, attempt, 0).action


def test_a_key_that_never_worked_stops_at_once():
    """The first 401 of a run without any success is fatal, and leaves the trial to be resumed."""
    decision = policy().decide(failed(ErrorKind.UNAUTHORIZED), 1, 0)
    assert decision.action is Action.STOP_ACCOUNT
    assert not decision.final


def test_a_key_that_worked_gets_three_401s_in_a_row():
    """After a success it takes three 401s without a success between."""
    decider = policy()
    key = failed(ErrorKind.UNAUTHORIZED)
    act(decider, delivered())
    assert [act(decider, key), act(decider, key)] == [Action.RETRY, Action.RETRY]
    act(decider, delivered())
    assert [act(decider, key) for _ in range(3)] == [
        Action.RETRY,
        Action.RETRY,
        Action.STOP_ACCOUNT,
    ]


@pytest.mark.parametrize(
    ("reply", "fatal_codes"),
    [
        (failed(ErrorKind.OUT_OF_CREDIT), []),
        (failed(ErrorKind.HTTP_OTHER, http_status=402), []),
        (failed(ErrorKind.FORBIDDEN, message="You've run out of credits. Top up."), []),
        (failed(ErrorKind.FORBIDDEN, message="Insufficient balance"), []),
        (failed(ErrorKind.BAD_REQUEST, code="Arrearage"), ["arrearage"]),
        (failed(ErrorKind.BAD_REQUEST, message="Access denied: Arrearage."), ["Arrearage"]),
        (failed(ErrorKind.RATE_LIMITED, code="billing_hard_limit"), ["billing_hard_limit"]),
        (failed(ErrorKind.STREAM_ERROR, code="no_money"), ["no_money"]),
    ],
)
def test_no_credit_stops_immediately(reply, fatal_codes):
    """402, 403 with credit wording and the profile's own codes stop the run at the first sight."""
    decider = policy(fatal_codes=fatal_codes)
    act(decider, delivered())
    assert act(decider, reply) is Action.STOP_ACCOUNT


@pytest.mark.parametrize(
    "reply",
    [
        failed(ErrorKind.FORBIDDEN, message="this model is not allowed in your region"),
        failed(ErrorKind.FORBIDDEN, message="accredited partners only"),
        failed(ErrorKind.BAD_REQUEST, message="Body validation error: credit"),
        failed(ErrorKind.BAD_RESPONSE, message="the answer said no_money"),
        failed(ErrorKind.BAD_REQUEST, message="no_moneys"),
    ],
)
def test_other_refusals_are_not_the_account(reply):
    """A refusal without those words, or the words in a model's answer, stop nothing."""
    assert act(policy(fatal_codes=["no_money"]), reply) is not Action.STOP_ACCOUNT


def test_a_money_quota_stops_at_once():
    """Where the profile says that insufficient_quota is money, it is fatal immediately."""
    assert act(policy(quota_is_money=True), failed(ErrorKind.QUOTA)) is Action.STOP_ACCOUNT


async def test_a_rate_quota_is_fatal_only_after_three_probes_over_three_minutes():
    """A quota that refills passes; three failed probes over at least 3 min are fatal."""
    clock = ManualClock()
    decider = policy(clock)
    quota = failed(ErrorKind.QUOTA)
    # A whole burst that was under way at the first refusal is one piece of evidence.
    for _ in range(50):
        assert decider.decide(quota, 1, 0, sent_at=-1.0).action is Action.RETRY
    for minute in (1, 2):
        await clock.advance(61.0)
        action = decider.decide(quota, minute + 1, 0, sent_at=clock.monotonic()).action
        assert action is Action.RETRY
    await clock.advance(61.0)
    assert decider.decide(quota, 4, 0, sent_at=clock.monotonic()).action is Action.STOP_ACCOUNT


async def test_a_success_forgets_the_quota():
    """A success between starts the count of probes anew."""
    clock = ManualClock()
    decider = policy(clock)
    for _ in range(6):
        await clock.advance(100.0)
        assert act(decider, failed(ErrorKind.QUOTA)) is not Action.STOP_ACCOUNT
        await clock.advance(100.0)
        act(decider, delivered())


def test_twenty_equal_permanent_errors_stop_the_run():
    """The first 20 results all the same permanent error: stop, say so, and keep the 20 records."""
    decider = policy()
    reply = failed(ErrorKind.NOT_FOUND, code="model_not_found", message="no model qwen-plsu")
    for _ in range(19):
        assert act(decider, reply) is Action.FINAL
    decision = decider.decide(reply, 1, 0)
    assert decision.action is Action.STOP_CONFIG
    assert decision.final
    assert "first 20 results" in decision.reason
    assert "no model qwen-plsu" in decision.reason


@pytest.mark.parametrize(
    "other",
    [delivered(), failed(ErrorKind.BAD_REQUEST), failed(ErrorKind.NOT_FOUND, code="another")],
)
def test_one_different_result_disarms_the_watch(other):
    """A single other result among the first twenty, and the rest may fail as it likes."""
    decider = policy()
    reply = failed(ErrorKind.NOT_FOUND, code="model_not_found")
    for _ in range(10):
        act(decider, reply)
    act(decider, other)
    assert {act(decider, reply) for _ in range(50)} == {Action.FINAL}


def test_retries_are_no_results():
    """A retry on the way to the same error neither counts nor disarms."""
    decider = policy()
    reply = failed(ErrorKind.BAD_REQUEST)
    for _ in range(19):
        act(decider, reply)
    act(decider, failed(ErrorKind.UNAVAILABLE))
    assert act(decider, reply) is Action.STOP_CONFIG


def test_the_retry_budget_is_that_of_aws():
    """500 in all; 5 a retry, 10 after a timeout; +1 a clean success, +5 a successful retry."""
    budget = RetryBudget()
    assert budget.remaining == 500
    for _ in range(99):
        assert budget.spend(RetryBudget.RETRY)
    assert not budget.spend(RetryBudget.TIMEOUT)
    assert budget.spend(RetryBudget.RETRY)
    assert not budget.spend(RetryBudget.RETRY)
    budget.record_success(1)
    assert budget.remaining == 1
    budget.record_success(2)
    assert budget.remaining == 6
    for _ in range(1_000):
        budget.record_success(1)
    assert budget.remaining == 500


def test_an_empty_budget_parks():
    """With the budget spent the trial is parked, not failed, until the next probe."""
    decider = policy()
    decider.budget.remaining = 9
    reply = failed(ErrorKind.CONNECT_TIMEOUT)
    decision = decider.decide(reply, 1, 0)
    assert decision.action is Action.PARK
    assert decision.wait_s == 30.0
    assert decider.outage.active
    act(decider, delivered())
    assert not decider.outage.active


def test_429_costs_no_retry_budget():
    """The shared pause is the brake for 429; the budget is for trouble."""
    decider = policy()
    for _ in range(200):
        decider.decide(failed(ErrorKind.RATE_LIMITED), 1, 0, sent_at=-1.0)
    assert decider.budget.remaining == 500
    assert not decider.outage.active


def test_failures_of_one_burst_are_one_round():
    """A thousand requests under way that fail together are no outage."""
    outage = Outage()
    for i in range(1_000):
        outage.record_failure(10.0 + i * 0.01, sent_at=0.0)
    assert not outage.active


def test_four_rounds_over_three_seconds_are_an_outage():
    """Four failures each sent after the one before, over 3 s or more, begin an outage."""
    outage = Outage()
    for now in (0.0, 1.0, 2.0):
        outage.record_failure(now, sent_at=now)
    assert not outage.active
    outage.record_failure(3.0, sent_at=3.0)
    assert outage.active
    assert outage.delay(3.0) == 30.0
    assert outage.delay(33.0) == 0.0
    outage.record_request(33.0)
    assert outage.delay(33.0) == 30.0
    outage.end()
    assert outage.delay(34.0) == 0.0


def test_a_permanent_refusal_shows_a_working_server():
    """A 400 is an answer: it ends an outage."""
    decider = policy()
    decider.outage.begin(0.0)
    act(decider, failed(ErrorKind.BAD_REQUEST))
    assert not decider.outage.active


def test_an_address_where_never_anybody_was_stops_at_the_first_probe():
    """Refused since the beginning: the probe's failure stops; once reached, it is waited out."""
    for reached_by in (None, delivered(), failed(ErrorKind.UNAVAILABLE)):
        clock = ManualClock()
        decider = RetryPolicy(
            LimitsConfig(), Profile(), clock=clock, seed=1, address="http://127.0.0.1:9/v1"
        )
        if reached_by is not None:
            act(decider, reached_by)
        decider.outage.begin(0.0)
        refused = failed(ErrorKind.CONNECT, message="Connection refused")
        # Under way since before the outage: no probe, and it says nothing new.
        assert decider.decide(refused, 1, 0, sent_at=-1.0).action is Action.PARK
        assert decider.outage.reason == "http://127.0.0.1:9/v1: Connection refused"
        decision = decider.decide(refused, 1, 0, sent_at=30.0)
        assert decision.action is (Action.STOP_CONFIG if reached_by is None else Action.PARK)
        assert not decision.final
        if reached_by is None:
            assert "http://127.0.0.1:9/v1 (Connection refused)" in decision.reason
            assert "is provider.base_url right?" in decision.reason
