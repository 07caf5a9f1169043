"""The rows of the retry table, and which :class:`ErrorKind` belongs to which."""

from __future__ import annotations

from enum import StrEnum

from evalharness.records import ErrorKind, Outcome, Reply


class Rule(StrEnum):
    """A row of the retry table."""

    NOT_SENT = "not_sent"  # backoff, budget
    UNAVAILABLE = "unavailable"  # 503, 529, 408, 425, 498: backoff, budget
    SERVER_ERROR = "server_error"  # 500, 502, 504, 52x: at most 2 retries
    CONFLICT = "conflict"  # 409: at most 2 retries
    IN_DOUBT = "in_doubt"  # at most limits.in_doubt_retries
    RATE_LIMITED = "rate_limited"  # 429: the whole endpoint pauses
    QUOTA = "quota"  # the same, for a minute at least
    UNAUTHORIZED = "unauthorized"  # until the breaker decides that it is the key
    PERMANENT = "permanent"  # no retry
    STOP = "stop"  # nothing can be reached with this configuration


RULES: dict[ErrorKind, Rule] = {
    ErrorKind.DNS: Rule.NOT_SENT,
    ErrorKind.CONNECT: Rule.NOT_SENT,
    ErrorKind.CONNECT_TIMEOUT: Rule.NOT_SENT,
    ErrorKind.POOL_TIMEOUT: Rule.NOT_SENT,
    ErrorKind.TLS: Rule.STOP,
    ErrorKind.BAD_URL: Rule.STOP,
    ErrorKind.REDIRECT: Rule.STOP,
    ErrorKind.BAD_REQUEST: Rule.PERMANENT,
    ErrorKind.UNAUTHORIZED: Rule.UNAUTHORIZED,
    ErrorKind.OUT_OF_CREDIT: Rule.PERMANENT,  # the account breaker decides first
    ErrorKind.FORBIDDEN: Rule.PERMANENT,
    ErrorKind.NOT_FOUND: Rule.PERMANENT,
    ErrorKind.CONTENT_FILTER: Rule.PERMANENT,
    ErrorKind.CONFLICT: Rule.CONFLICT,
    ErrorKind.RATE_LIMITED: Rule.RATE_LIMITED,
    ErrorKind.QUOTA: Rule.QUOTA,
    ErrorKind.UNAVAILABLE: Rule.UNAVAILABLE,
    ErrorKind.SERVER_ERROR: Rule.SERVER_ERROR,
    ErrorKind.HTTP_OTHER: Rule.PERMANENT,
    ErrorKind.WRITE_TIMEOUT: Rule.IN_DOUBT,
    ErrorKind.FIRST_BYTE_TIMEOUT: Rule.IN_DOUBT,
    ErrorKind.STALL_TIMEOUT: Rule.IN_DOUBT,
    ErrorKind.TOTAL_TIMEOUT: Rule.IN_DOUBT,
    ErrorKind.CONNECTION_LOST: Rule.IN_DOUBT,
    ErrorKind.TOO_LARGE: Rule.PERMANENT,
    ErrorKind.BAD_ENCODING: Rule.IN_DOUBT,
    ErrorKind.NOT_JSON: Rule.IN_DOUBT,
    ErrorKind.BAD_RESPONSE: Rule.IN_DOUBT,
    ErrorKind.STREAM_CUT: Rule.IN_DOUBT,
    ErrorKind.STREAM_ERROR: Rule.IN_DOUBT,
    ErrorKind.INTERRUPTED: Rule.IN_DOUBT,
    ErrorKind.EARLIER_TURN: Rule.NOT_SENT,
    ErrorKind.EXPIRED: Rule.NOT_SENT,
    ErrorKind.CANCELLED: Rule.NOT_SENT,
}


def rule_of(reply: Reply) -> Rule:
    """The row of the retry table for a reply that delivered nothing."""
    kind = reply.error_kind or ErrorKind.HTTP_OTHER
    rule = RULES[kind]
    if rule is Rule.IN_DOUBT and reply.outcome is Outcome.NOT_SENT:
        return Rule.NOT_SENT
    if kind is ErrorKind.BAD_RESPONSE and reply.outcome is Outcome.REJECTED:
        return Rule.PERMANENT  # a function's own result, which would be the same again
    if kind is ErrorKind.HTTP_OTHER and reply.http_status is not None:
        if reply.http_status in (408, 425, 498, 503, 529):
            return Rule.UNAVAILABLE
        if reply.http_status >= 500:
            return Rule.SERVER_ERROR
    return rule
