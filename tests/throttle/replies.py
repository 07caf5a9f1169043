"""Replies of every sort, and a table of who answers how."""

from __future__ import annotations

from evalharness.records import ErrorKind, Outcome, Reply, Status, Usage

NOT_SENT = {
    ErrorKind.DNS,
    ErrorKind.CONNECT,
    ErrorKind.CONNECT_TIMEOUT,
    ErrorKind.TLS,
    ErrorKind.POOL_TIMEOUT,
    ErrorKind.BAD_URL,
    ErrorKind.EXPIRED,
    ErrorKind.CANCELLED,
    ErrorKind.EARLIER_TURN,
}
HTTP_STATUS = {
    ErrorKind.BAD_REQUEST: 400,
    ErrorKind.UNAUTHORIZED: 401,
    ErrorKind.OUT_OF_CREDIT: 402,
    ErrorKind.FORBIDDEN: 403,
    ErrorKind.NOT_FOUND: 404,
    ErrorKind.CONTENT_FILTER: 400,
    ErrorKind.CONFLICT: 409,
    ErrorKind.RATE_LIMITED: 429,
    ErrorKind.QUOTA: 429,
    ErrorKind.UNAVAILABLE: 503,
    ErrorKind.SERVER_ERROR: 500,
    ErrorKind.REDIRECT: 307,
    ErrorKind.HTTP_OTHER: 418,
}


def delivered(status: Status = Status.OK, tokens: int | None = 10) -> Reply:
    return Reply(
        outcome=Outcome.DELIVERED,
        status=status,
        http_status=200,
        usage=Usage(total_tokens=tokens),
    )


def failed(
    kind: ErrorKind,
    *,
    http_status: int | None = None,
    outcome: Outcome | None = None,
    message: str | None = None,
    code: str | None = None,
    **headers: str,
) -> Reply:
    if outcome is None:
        if kind in NOT_SENT:
            outcome = Outcome.NOT_SENT
        elif kind in HTTP_STATUS and kind is not ErrorKind.SERVER_ERROR:
            outcome = Outcome.REJECTED
        else:
            outcome = Outcome.IN_DOUBT
    return Reply(
        outcome=outcome,
        status=Status.ERROR,
        http_status=http_status or HTTP_STATUS.get(kind),
        error_kind=kind,
        error_message=message,
        error_code=code,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )
