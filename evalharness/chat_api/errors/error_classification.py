"""Classification of failures: kind, outcome (billing class), the server's message and code."""

from __future__ import annotations

import re
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from evalharness.chat_api.errors.error_body import ServerError, read_error, read_error_body, shorten
from evalharness.chat_api.errors.error_words import is_about_content, is_out_of_credit, is_too_long
from evalharness.config.models import Profile
from evalharness.records import ErrorKind, Outcome

_NOT_SENT = frozenset(
    {
        ErrorKind.DNS,
        ErrorKind.CONNECT,
        ErrorKind.CONNECT_TIMEOUT,
        ErrorKind.TLS,
        ErrorKind.POOL_TIMEOUT,
        ErrorKind.BAD_URL,
    }
)
# Those that tell a client to go elsewhere. A 300, 304, 305 or 306 to a POST is only odd.
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_BY_STATUS: dict[int, ErrorKind] = {
    400: ErrorKind.BAD_REQUEST,
    401: ErrorKind.UNAUTHORIZED,
    402: ErrorKind.OUT_OF_CREDIT,
    403: ErrorKind.FORBIDDEN,
    404: ErrorKind.NOT_FOUND,
    405: ErrorKind.BAD_REQUEST,
    408: ErrorKind.UNAVAILABLE,
    409: ErrorKind.CONFLICT,
    413: ErrorKind.BAD_REQUEST,
    415: ErrorKind.BAD_REQUEST,
    422: ErrorKind.BAD_REQUEST,
    425: ErrorKind.UNAVAILABLE,
    429: ErrorKind.RATE_LIMITED,
    498: ErrorKind.UNAVAILABLE,  # no capacity in this tier (Groq)
    503: ErrorKind.UNAVAILABLE,
    529: ErrorKind.UNAVAILABLE,  # overloaded (Anthropic)
}
_STATUS = re.compile(r"[45]\d\d", re.ASCII)
# The status that a word in place of a status stands for, inside a 200.
_STATUS_OF_WORD: dict[str, int] = {
    "badrequesterror": 400, "bad_request": 400, "invalid_argument": 400,
    "invalid_request_error": 400, "invalidparameter": 400, "invalid_parameter": 400,
    "validation_error": 400, "failed_precondition": 400,
    "invalid_prompt": 400, "data_residency_mismatch": 400, "invalid_image": 400,
    "invalid_image_format": 400, "invalid_base64_image": 400, "invalid_image_url": 400,
    "invalid_image_mode": 400, "image_too_large": 400, "image_too_small": 400,
    "image_parse_error": 400, "image_file_too_large": 400, "unsupported_image_media_type": 400,
    "empty_image_file": 400, "failed_to_download_image": 400, "image_file_not_found": 400,
    "authentication_error": 401, "authenticationerror": 401, "invalid_api_key": 401,
    "unauthenticated": 401, "unauthorized": 401,
    "permission_denied": 403, "permission_error": 403, "permissiondeniederror": 403,
    "model_not_found": 404, "not_found": 404, "not_found_error": 404, "notfounderror": 404,
    "rate_limit_error": 429, "rate_limit_exceeded": 429, "rate_limit_reached_error": 429,
    "ratelimiterror": 429, "rate_limited": 429, "resource_exhausted": 429,
    "too_many_requests": 429, "engine_overloaded_error": 429, "insufficient_quota": 429,
    "capacity_exceeded": 503, "overloaded": 503, "overloaded_error": 503,
    "service_unavailable": 503, "serviceunavailable": 503, "unavailable": 503,
}  # fmt: skip
# Where a filter's or a moderator's no is expected; 0 is no status at all.
_CONTENT_STATUSES = frozenset({0, 400, 403, 422, 451})
# Kinds that a request too long can be taken for.
_MAYBE_TOO_LONG = frozenset(
    {
        ErrorKind.BAD_RESPONSE,
        ErrorKind.FORBIDDEN,
        ErrorKind.HTTP_OTHER,
        ErrorKind.RATE_LIMITED,
        ErrorKind.SERVER_ERROR,
        ErrorKind.STREAM_ERROR,
        ErrorKind.UNAVAILABLE,
    }
)


class ResponseFailure(NamedTuple):
    """A classified failure; ``retry_after_s`` are seconds that its body asks to wait, if any."""

    kind: ErrorKind
    outcome: Outcome
    message: str | None
    code: str | None = None
    retry_after_s: float | None = None


def network_failure(kind: ErrorKind, message: str | None, *, reached: bool) -> ResponseFailure:
    """Classify an exchange without a usable response."""
    not_sent = kind in _NOT_SENT or not reached
    return ResponseFailure(
        kind, Outcome.NOT_SENT if not_sent else Outcome.IN_DOUBT, shorten(message)
    )


def http_failure(
    status: int, headers: dict[str, str], body: bytes, profile: Profile | None
) -> ResponseFailure:
    """Classify a response whose status is not 2xx.

    What a filter or moderator says of a prompt is the answer to it, whatever the status: it is
    delivered, never asked for again, and may have been billed (Azure bills it).
    """
    profile = profile or Profile()
    error = read_error_body(body)
    if status in _REDIRECTS:
        target = _host(headers.get("location"))
        message = f"HTTP {status} to {target or 'an unnamed place'}; redirects are not followed"
        return ResponseFailure(ErrorKind.REDIRECT, Outcome.REJECTED, message, error.code)
    message = shorten(f"HTTP {status}" + (f": {error.message}" if error.message else ""))
    stated = _by_status(status)
    kind = _refine(stated, error, status, profile)
    if kind is ErrorKind.CONTENT_FILTER:
        outcome = Outcome.DELIVERED
    elif (
        300 <= status < 500
        or kind is not stated
        or kind is ErrorKind.UNAVAILABLE
        or (kind is ErrorKind.SERVER_ERROR and profile.failed_calls_billed is False)
    ):
        outcome = Outcome.REJECTED
    else:
        outcome = Outcome.IN_DOUBT
    return ResponseFailure(kind, outcome, message, error.code, error.retry_after_s)


def error_in_answer(
    error: Any, kind: ErrorKind, profile: Profile | None, *, before_content: bool
) -> ResponseFailure:
    """Classify an error inside a 2xx response (``kind`` when nothing better is known).

    Before any content, an error that states a status of refusal is refused as if it had come with
    that status. After some, only what can never succeed is told apart: a request that is too long
    and content that a filter refuses are not asked for again.
    """
    stated = read_error(error)
    status = _stated_status(stated)
    message = stated.message or "the response carries an error object"
    refined, outcome = kind, Outcome.IN_DOUBT
    if before_content:
        if 400 <= status < 500 or _by_status(status) is ErrorKind.UNAVAILABLE:
            refined = _by_status(status)
        refined = _refine(refined, stated, status, profile or Profile())
        if refined is not kind:
            outcome = Outcome.REJECTED
    elif is_about_content(stated):
        refined = ErrorKind.CONTENT_FILTER
    elif is_too_long(stated, status):
        refined = ErrorKind.BAD_REQUEST
    if refined is ErrorKind.CONTENT_FILTER:
        outcome = Outcome.DELIVERED
    return ResponseFailure(refined, outcome, message, stated.code, stated.retry_after_s)


def _by_status(status: int) -> ErrorKind:
    kind = _BY_STATUS.get(status)
    if kind is None:
        kind = ErrorKind.SERVER_ERROR if 500 <= status < 600 else ErrorKind.HTTP_OTHER
    return kind


def _stated_status(error: ServerError) -> int:
    """The HTTP status that an error states, by number or word; 0 where it states none."""
    for code in error.codes:
        if _STATUS.fullmatch(code):
            return int(code)
    return next((_STATUS_OF_WORD[code] for code in error.codes if code in _STATUS_OF_WORD), 0)


def _refine(kind: ErrorKind, error: ServerError, status: int, profile: Profile) -> ErrorKind:
    """The kind of a refusal by its words, where these say more than its status."""
    if status in _CONTENT_STATUSES and is_about_content(error):
        return ErrorKind.CONTENT_FILTER
    if status < 500:
        words = " ".join([*error.codes, (error.message or "").casefold()])
        if any(word.casefold() in words for word in profile.fatal_codes):
            return ErrorKind.OUT_OF_CREDIT
        if is_out_of_credit(error, status):
            return ErrorKind.OUT_OF_CREDIT
        if kind is ErrorKind.RATE_LIMITED and "insufficient_quota" in words:
            return ErrorKind.OUT_OF_CREDIT if profile.quota_is_money else ErrorKind.QUOTA
    if kind in _MAYBE_TOO_LONG and is_too_long(error, status):
        return ErrorKind.BAD_REQUEST
    return kind


def _host(location: str | None) -> str | None:
    """Scheme, host and port of a redirect's target: the rest may hold anything."""
    try:
        parts = urlsplit(location or "")
        port = "" if parts.port is None else f":{parts.port}"
        return f"{parts.scheme}://{parts.hostname}{port}"[:200] if parts.hostname else None
    except ValueError:
        return None
