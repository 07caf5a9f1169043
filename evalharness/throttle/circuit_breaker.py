"""Breakers fed by all replies of an endpoint: retry budget, outage, account, repeated error."""

from __future__ import annotations

import math
import re

from evalharness.config.models import Profile
from evalharness.records import ErrorKind, Outcome, Reply


class RetryBudget:
    """How many retries one endpoint may get (costs of the AWS SDKs' standard mode).

    A retry costs 5, after a timeout 10, out of 500. A success at the first attempt gives back 1;
    a success of a retry gives back what a retry costs. An endpoint that fails on everything thus
    gets about a hundred retries; one that fails now and then gets them without end.
    """

    CAPACITY = 500
    RETRY = 5
    TIMEOUT = 10

    def __init__(self) -> None:
        self.remaining = self.CAPACITY

    def spend(self, cost: int) -> bool:
        """Take ``cost`` if there is as much; whether there was."""
        if cost > self.remaining:
            return False
        self.remaining -= cost
        return True

    def record_success(self, attempt: int) -> None:
        """Give back for a delivered answer, which was attempt number ``attempt`` (from 1)."""
        self.remaining = min(self.CAPACITY, self.remaining + (1 if attempt == 1 else self.RETRY))


class Outage:
    """Whether the endpoint serves nobody at present, and when to probe it.

    It begins when the retry budget is empty, or when four rounds of requests, each sent after
    the failure of the one before, failed over at least 3 s with no success between (a burst of
    requests that fails together is one round). While it lasts one probe goes every 30 s; the
    first answer that shows a working server ends it.

    Attributes:
        active: whether it lasts.
        began: clock time (monotonic seconds) since which only probes go.
        reason: the newest failure, for messages.
    """

    PROBE_S = 30.0
    ROUNDS = 4
    SPAN_S = 3.0

    def __init__(self) -> None:
        self.active = False
        self.began_at = -math.inf
        self.reason = ""
        self._next_probe = -math.inf
        self._rounds = 0
        self._first = 0.0
        self._last = -math.inf

    def record_failure(self, now: float, sent_at: float | None) -> None:
        """Count a failure that came at ``now`` to a request sent at ``sent_at``."""
        if sent_at is not None and sent_at < self._last:
            return
        if self._rounds == 0:
            self._first = now
        self._rounds += 1
        self._last = now
        if self._rounds >= self.ROUNDS and now - self._first >= self.SPAN_S:
            self.begin(now)

    def begin(self, now: float) -> None:
        """From ``now`` on only probes; nothing changes when that is so already."""
        if not self.active:
            self.active = True
            self.began_at = now
            self._next_probe = now + self.PROBE_S

    def probe_first(self) -> None:
        """The endpoint may well be down: one request may go now, as a probe."""
        self.active = True
        self._next_probe = -math.inf

    def end(self) -> None:
        """End the outage: the server answered as a working server does."""
        self.active = False
        self._rounds = 0

    def delay(self, now: float) -> float:
        """Seconds until the next request may go; 0.0 when one may go now."""
        return max(0.0, self._next_probe - now) if self.active else 0.0

    def record_request(self, now: float) -> None:
        """Count a request that is sent: during an outage it is the probe."""
        if self.active:
            self._next_probe = now + self.PROBE_S


_NO_CREDIT = re.compile(r"\b(credits?|balance|arrear\w*)\b", re.IGNORECASE)


class AccountBreaker:
    """Detects that the account itself is refused: key, credit, quota.

    Args:
        profile: the provider's own words for it, and what its quota errors mean.
    """

    UNAUTHORIZED_IN_A_ROW = 3
    QUOTA_PROBES = 3
    QUOTA_SPAN_S = 180.0

    def __init__(self, profile: Profile) -> None:
        self._quota_is_money = profile.quota_is_money
        self._codes = {code.lower() for code in profile.fatal_codes}
        words = "|".join(re.escape(code) for code in profile.fatal_codes)
        self._words = re.compile(rf"(?<!\w)(?:{words})(?!\w)", re.IGNORECASE) if words else None
        self._ever_succeeded = False
        self._unauthorized = 0
        self._quota_since: float | None = None
        self._quota_last = -math.inf
        self._quota_probes = 0

    def record_success(self) -> None:
        """An answer was delivered."""
        self._ever_succeeded = True
        self._unauthorized = 0
        self._quota_since = None

    def fatal_reason(self, reply: Reply, now: float, sent_at: float | None) -> str | None:
        """Why this refusal means the account, in a few words; None where it does not."""
        kind = reply.error_kind
        if kind is ErrorKind.CONTENT_FILTER:
            return None  # about one prompt, whatever words it has
        if kind is ErrorKind.UNAUTHORIZED:
            return self._refused_key()
        if kind is ErrorKind.OUT_OF_CREDIT or reply.http_status == 402:
            return "no credit left"
        if reply.error_code is not None and reply.error_code.lower() in self._codes:
            return f"error code {reply.error_code}"
        if self._says_no_credit(reply):
            return "no credit left"
        return self._exhausted_quota(now, sent_at) if kind is ErrorKind.QUOTA else None

    def _refused_key(self) -> str | None:
        self._unauthorized += 1
        if not self._ever_succeeded:
            return "the key was refused"
        if self._unauthorized >= self.UNAUTHORIZED_IN_A_ROW:
            return f"the key was refused {self._unauthorized} times in a row"
        return None

    def _says_no_credit(self, reply: Reply) -> bool:
        # Only refusals are searched: the text of a half-delivered answer is the model's.
        message = reply.error_message
        refused = reply.outcome is Outcome.REJECTED or reply.error_kind is ErrorKind.STREAM_ERROR
        if message is None or not refused:
            return False
        if reply.error_kind is ErrorKind.FORBIDDEN and _NO_CREDIT.search(message):
            return True
        return self._words is not None and self._words.search(message) is not None

    def _exhausted_quota(self, now: float, sent_at: float | None) -> str | None:
        """A quota may refill; one that has not after 3 probes over 3 min is spent."""
        if self._quota_is_money:
            return "the quota is spent"
        if self._quota_since is None:
            self._quota_since, self._quota_last, self._quota_probes = now, now, 0
        elif sent_at is None or sent_at >= self._quota_last:
            self._quota_probes += 1
            self._quota_last = now
        waited = now - self._quota_since
        if self._quota_probes >= self.QUOTA_PROBES and waited >= self.QUOTA_SPAN_S:
            return f"the quota did not refill in {waited / 60:.0f} min"
        return None


class RepeatedErrorBreaker:
    """Detects that the first twenty results of an endpoint are all the same permanent error.

    Then the requests are wrong (a model's name, a parameter), and all others would fail alike. One
    result of another kind disables it for good. A filter's no is about one prompt: it counts
    neither way.
    """

    RESULTS = 20
    PERMANENT = frozenset(
        {
            ErrorKind.BAD_REQUEST,
            ErrorKind.FORBIDDEN,
            ErrorKind.NOT_FOUND,
            ErrorKind.HTTP_OTHER,
            ErrorKind.TOO_LARGE,
            ErrorKind.BAD_ENCODING,
            ErrorKind.NOT_JSON,
            ErrorKind.BAD_RESPONSE,
        }
    )

    def __init__(self) -> None:
        self._seen = 0
        self._first: tuple[ErrorKind | None, int | None, str | None] | None = None
        self._varied = False

    def record_result(self, reply: Reply) -> bool:
        """Count one trial's final reply; whether it completes the first twenty of one error."""
        if self._varied or reply.error_kind is ErrorKind.CONTENT_FILTER:
            return False
        error = (reply.error_kind, reply.http_status, reply.error_code)
        permanent = reply.outcome is not Outcome.DELIVERED and reply.error_kind in self.PERMANENT
        if not permanent or (self._first is not None and error != self._first):
            self._varied = True
            return False
        self._first = error
        self._seen += 1
        return self._seen >= self.RESULTS
