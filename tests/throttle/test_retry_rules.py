"""The table of what is tried again, after what, and how often."""

from typing import NamedTuple

import msgspec
import pytest

from evalharness.config.models import LimitsConfig, Profile
from evalharness.errors import AccountError, ConfigError
from evalharness.records import ErrorKind, Outcome, Reply, Status
from evalharness.throttle.retry_policy import Action, RetryPolicy, requested_wait_s
from evalharness.throttle.retry_rules import RULES
from tests.throttle.manual_clock import ManualClock
from tests.throttle.replies import delivered, failed

F, R, ACCOUNT, CONFIG = (
    Action.FINAL,
    Action.RETRY,
    Action.STOP_ACCOUNT,
    Action.STOP_CONFIG,
)
MANY = 99  # bounded by max_attempts alone


class Row(NamedTuple):
    """What the table says of one kind: the first action, and how many retries in all."""

    first: Action
    retries: int = 0
    pauses: bool = False
    in_doubt: bool = False


TABLE: dict[ErrorKind, Row] = {
    # not sent: backoff, budget
    ErrorKind.DNS: Row(R, MANY),
    ErrorKind.CONNECT: Row(R, MANY),
    ErrorKind.CONNECT_TIMEOUT: Row(R, MANY),
    ErrorKind.POOL_TIMEOUT: Row(R, MANY),
    # nothing can be reached: stop, exit 2
    ErrorKind.TLS: Row(CONFIG),
    ErrorKind.BAD_URL: Row(CONFIG),
    ErrorKind.REDIRECT: Row(CONFIG),
    # rejected
    ErrorKind.RATE_LIMITED: Row(R, MANY, pauses=True),
    ErrorKind.QUOTA: Row(R, MANY, pauses=True),
    ErrorKind.UNAVAILABLE: Row(R, MANY),
    ErrorKind.CONFLICT: Row(R, 2),
    ErrorKind.UNAUTHORIZED: Row(ACCOUNT),  # no success so far
    ErrorKind.OUT_OF_CREDIT: Row(ACCOUNT),
    ErrorKind.BAD_REQUEST: Row(F),
    ErrorKind.FORBIDDEN: Row(F),
    ErrorKind.NOT_FOUND: Row(F),
    ErrorKind.CONTENT_FILTER: Row(F),
    ErrorKind.HTTP_OTHER: Row(F),
    # in doubt
    ErrorKind.SERVER_ERROR: Row(R, 2, in_doubt=True),
    ErrorKind.WRITE_TIMEOUT: Row(R, 1, in_doubt=True),
    ErrorKind.FIRST_BYTE_TIMEOUT: Row(R, 1, in_doubt=True),
    ErrorKind.STALL_TIMEOUT: Row(R, 1, in_doubt=True),
    ErrorKind.TOTAL_TIMEOUT: Row(R, 1, in_doubt=True),
    ErrorKind.CONNECTION_LOST: Row(R, 1, in_doubt=True),
    ErrorKind.BAD_ENCODING: Row(R, 1, in_doubt=True),
    ErrorKind.NOT_JSON: Row(R, 1, in_doubt=True),
    ErrorKind.BAD_RESPONSE: Row(R, 1, in_doubt=True),
    ErrorKind.STREAM_CUT: Row(R, 1, in_doubt=True),
    ErrorKind.STREAM_ERROR: Row(R, 1, in_doubt=True),
    ErrorKind.INTERRUPTED: Row(R, 1, in_doubt=True),
    ErrorKind.TOO_LARGE: Row(F, in_doubt=True),
    # of batches, which decide about them by themselves (evalharness.batch.settling)
    ErrorKind.EARLIER_TURN: Row(R, MANY),  # recorded, never decided about
    ErrorKind.EXPIRED: Row(R, MANY),
    ErrorKind.CANCELLED: Row(R, MANY),
}


def policy(
    profile: Profile | None = None, clock: ManualClock | None = None, **limits
) -> RetryPolicy:
    return RetryPolicy(
        LimitsConfig(**limits), profile or Profile(), clock=clock or ManualClock(), seed=1
    )


def attempts_until_final(decider: RetryPolicy, reply: Reply) -> int:
    """How often one trial is sent when every attempt ends with the same reply."""
    in_doubt = 0
    for attempt in range(1, 1_000):
        decision = decider.decide(reply, attempt, in_doubt, same_error_count=attempt - 1)
        if decision.action in (Action.FINAL, Action.STOP_ACCOUNT, Action.STOP_CONFIG):
            return attempt
        assert decision.wait_s is not None
        assert not decision.final
        in_doubt += reply.outcome is Outcome.IN_DOUBT
    raise AssertionError("attempts are not bounded")


def test_every_kind_has_its_row():
    """No error kind is missing from the rules, nor from this table."""
    assert set(RULES) == set(TABLE) == set(ErrorKind)


@pytest.mark.parametrize("kind", list(ErrorKind), ids=str)
def test_the_retry_table(kind):
    """Each kind's first action, and the retries it gets in all, are those of the table."""
    row = TABLE[kind]
    reply = failed(kind)
    assert (reply.outcome is Outcome.IN_DOUBT) is row.in_doubt
    decision = policy().decide(reply, 1, 0)
    assert decision.action is row.first
    assert decision.final is (row.first is F)
    assert (decision.pause_endpoint_s is not None) is row.pauses
    assert decision.reason
    assert attempts_until_final(policy(), reply) == min(row.retries, 4) + 1


@pytest.mark.parametrize("kind", list(ErrorKind), ids=str)
@pytest.mark.parametrize("most", [1, 3, 100])
def test_attempts_are_bounded(kind, most):
    """No kind is ever sent more often than limits.max_attempts."""
    assert attempts_until_final(policy(max_attempts=most), failed(kind)) <= most


@pytest.mark.parametrize("status", [s for s in Status if s is not Status.ERROR], ids=str)
@pytest.mark.parametrize("attempt", [1, 5])
def test_a_delivered_answer_is_never_asked_for_again(status, attempt):
    """ok, empty, truncated, refused, with or without usage: the reply is the record."""
    for tokens in (None, 10):
        decision = policy().decide(delivered(status, tokens), attempt, 3)
        assert decision.action is Action.FINAL
        assert decision.final


@pytest.mark.parametrize(
    ("http_status", "action"),
    [(405, F), (413, F), (422, F), (408, R), (425, R), (529, R), (522, R)],
)
def test_other_statuses(http_status, action):
    """Statuses without a kind of their own follow the row of their class."""
    reply = failed(ErrorKind.HTTP_OTHER, http_status=http_status)
    assert policy().decide(reply, 1, 0).action is action


def test_in_doubt_counts_over_all_kinds_of_a_trial():
    """A trial that was in doubt once is not sent again after another doubtful end."""
    reply = failed(ErrorKind.STREAM_CUT)
    assert policy().decide(reply, 2, 1, same_error_count=0).action is F
    assert policy(in_doubt_retries=2).decide(reply, 2, 1, same_error_count=0).action is R
    assert policy(in_doubt_retries=0).decide(reply, 1, 0).action is F


def test_a_lost_connection_that_sent_nothing_is_not_in_doubt():
    """The billing class decides: never sent means free to send again."""
    reply = failed(ErrorKind.CONNECTION_LOST, outcome=Outcome.NOT_SENT)
    assert attempts_until_final(policy(), reply) == 5


def test_server_errors_respect_in_doubt_retries_unless_free():
    """in_doubt_retries=0 buys nothing twice; where failed calls are free, 5xx may be retried."""
    reply = failed(ErrorKind.SERVER_ERROR)
    assert policy(in_doubt_retries=0).decide(reply, 1, 0).action is F
    free = Profile(failed_calls_billed=False)
    assert attempts_until_final(policy(free, in_doubt_retries=0), reply) == 3


def test_the_earlier_attempts_of_other_kinds_are_not_counted():
    """Two 429s before a 409 leave it both of its retries."""
    reply = failed(ErrorKind.CONFLICT)
    assert policy().decide(reply, 3, 0, same_error_count=0).action is R
    assert policy().decide(reply, 3, 0, same_error_count=2).action is F


def test_backoff_has_full_jitter_and_a_cap():
    """Waits are uniform between 0 and min(60, 2^(attempt−1)) s, and seeded."""
    reply = failed(ErrorKind.UNAVAILABLE)

    def waits(attempt: int, seed: int) -> list[float]:
        found = []
        for i in range(300):
            decider = RetryPolicy(
                LimitsConfig(max_attempts=100), Profile(), clock=ManualClock(), seed=seed + i
            )
            found.append(decider.decide(reply, attempt, 0).wait_s or 0.0)
        return found

    for attempt, cap in [(1, 1.0), (4, 8.0), (50, 60.0)]:
        got = waits(attempt, 0)
        assert 0 <= min(got) < 0.1 * cap
        assert 0.9 * cap < max(got) <= cap
        assert got == waits(attempt, 0)


@pytest.mark.parametrize(
    "kind", [ErrorKind.RATE_LIMITED, ErrorKind.UNAVAILABLE, ErrorKind.CONFLICT]
)
def test_retry_after_pauses_everybody(kind):
    """What the server asked for is the pause of the endpoint, and no trial waits less."""
    decision = policy().decide(failed(kind, retry_after="120"), 1, 0)
    assert decision.action is R
    assert decision.pause_endpoint_s == 120.0
    assert decision.wait_s is not None
    assert decision.wait_s >= 120.0


def test_retry_after_holds_for_others_when_this_trial_is_done():
    """The last attempt of a trial still pauses the endpoint."""
    decision = policy().decide(failed(ErrorKind.RATE_LIMITED, retry_after="30"), 5, 0)
    assert decision.action is F
    assert decision.pause_endpoint_s == 30.0


def test_a_wait_above_the_limit_stops_resumably():
    """Retry-After above limits.max_wait_s: exit 3, and the trial is left for the next session."""
    decision = policy(max_wait_s=60.0).decide(
        failed(ErrorKind.RATE_LIMITED, retry_after="61"), 1, 0
    )
    assert decision.action is ACCOUNT
    assert not decision.final
    assert "limits.max_wait_s=60" in decision.reason
    assert (
        policy(max_wait_s=60.0)
        .decide(failed(ErrorKind.RATE_LIMITED, retry_after="60"), 1, 0)
        .action
        is R
    )


def test_a_quota_waits_a_minute_at_least():
    """Tokens per minute refill by the minute: no pause below 60 s, Retry-After or not."""
    decision = policy().decide(failed(ErrorKind.QUOTA), 1, 0)
    assert (decision.pause_endpoint_s or 0) >= 60
    decision = policy().decide(failed(ErrorKind.QUOTA, retry_after="5"), 1, 0)
    assert (decision.pause_endpoint_s or 0) >= 60


def test_the_wait_in_a_body_is_kept_like_one_in_a_header():
    """RetryInfo pauses the endpoint; of a header and a body the longer counts."""
    stated = msgspec.structs.replace(failed(ErrorKind.RATE_LIMITED), retry_after_s=40.5)
    decision = policy().decide(stated, 1, 0)
    assert (decision.wait_s, decision.pause_endpoint_s) == (40.5, 40.5)
    for header, wait in (("50", 50.0), ("3", 40.5)):
        both = msgspec.structs.replace(stated, headers={"retry-after": header})
        assert requested_wait_s(both, 0) == wait
    answer = msgspec.structs.replace(delivered(), retry_after_s=40.5)
    assert requested_wait_s(answer, 0) is None


def test_what_a_filter_refuses_is_not_the_same_error_twenty_times():
    """Refusals by a filter count neither way: they stop nothing, and hide no wrong request."""
    decider = policy(profile=Profile(fatal_codes=["credits"]))
    refused = msgspec.structs.replace(
        delivered(Status.REFUSED),
        http_status=403,
        error_kind=ErrorKind.CONTENT_FILTER,
        error_message="flagged; no credits were charged",
    )
    for _ in range(60):
        assert decider.decide(refused, 1, 0).action is F
    wrong = failed(ErrorKind.NOT_FOUND)
    actions = [decider.decide(wrong, 1, 0).action for _ in range(20)]
    assert actions == [F] * 19 + [CONFIG]


def test_a_redirect_shows_where_it_wanted_to_go():
    """3xx stops the run and names the host the request was not sent to."""
    reply = failed(ErrorKind.REDIRECT, location="https://me:secret@elsewhere.example/v1?t=secret")
    decision = policy().decide(reply, 1, 0)
    assert "redirects to elsewhere.example" in decision.reason
    assert "secret" not in decision.reason
    error = decision.error(hint="set provider.base_url")
    assert isinstance(error, ConfigError)
    assert error.exit_code == 2


def test_stops_carry_their_exit_code():
    """An account stop is exit 3; what stops nothing has no error."""
    stop = policy().decide(failed(ErrorKind.OUT_OF_CREDIT, message="top up"), 1, 0)
    assert isinstance(stop.error(), AccountError)
    with pytest.raises(ValueError, match="stops nothing"):
        policy().decide(delivered(), 1, 0).error()
