"""Classification of failures: kind, outcome (billing class), the server's message and code."""

from __future__ import annotations

import re
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

from evalharness.chat_api.lenient_json import (
    UnicodeCleaner,
    as_count,
    as_list,
    as_object,
    parse_json,
)
from evalharness.config.models import Profile
from evalharness.records import ErrorKind, Outcome

MAX_MESSAGE = 2000  # characters of an error message that are stored

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
    503: ErrorKind.UNAVAILABLE,
    529: ErrorKind.UNAVAILABLE,
}
_CREDIT_WORDS = re.compile(
    r"\b(credits?|balance|arrear\w*|overdue|billing|payment|insufficient[ _]funds?|top[ -]?up)\b",
    re.IGNORECASE,
)
# Codes that mean "no money" at any provider that uses them.
_CREDIT_CODES = frozenset({"arrearage", "insufficient_balance", "billing_hard_limit_reached"})
_TAGS = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]{0,2000}>", re.IGNORECASE | re.DOTALL)


class ServerError(NamedTuple):
    """An error as the server describes it: a message for people and its own code, if any."""

    message: str | None
    code: str | None


class ResponseFailure(NamedTuple):
    """A classified failure."""

    kind: ErrorKind
    outcome: Outcome
    message: str | None
    code: str | None = None


def network_failure(kind: ErrorKind, message: str | None, *, reached: bool) -> ResponseFailure:
    """Classify an exchange without a usable response."""
    not_sent = kind in _NOT_SENT or not reached
    return ResponseFailure(
        kind, Outcome.NOT_SENT if not_sent else Outcome.IN_DOUBT, _shorten(message)
    )


def http_failure(
    status: int, headers: dict[str, str], body: bytes, profile: Profile | None
) -> ResponseFailure:
    """Classify a response whose status is not 2xx."""
    profile = profile or Profile()
    error = read_error_body(body)
    message = f"HTTP {status}" + (f": {error.message}" if error.message else "")
    if 300 <= status < 400:
        target = _host(headers.get("location"))
        message = f"HTTP {status} to {target or 'an unnamed place'}; redirects are not followed"
        return ResponseFailure(ErrorKind.REDIRECT, Outcome.REJECTED, message, error.code)
    kind = _by_status(status)
    if 400 <= status < 500:
        kind = _account_kind(kind, error, profile)
        outcome = Outcome.REJECTED
    elif kind is ErrorKind.UNAVAILABLE or (
        kind is ErrorKind.SERVER_ERROR and profile.failed_calls_billed is False
    ):
        outcome = Outcome.REJECTED
    else:
        outcome = Outcome.IN_DOUBT
    return ResponseFailure(kind, outcome, _shorten(message), error.code)


def error_in_answer(
    error: Any, kind: ErrorKind, profile: Profile | None, *, before_content: bool
) -> ResponseFailure:
    """Classify an error object inside a 2xx response (``kind`` when nothing better is known).

    A 4xx code inside, before any content, is a refusal as well.
    """
    stated = _read_envelope(as_object(error) if isinstance(error, dict) else {"error": error})
    message = _shorten(stated.message or "the response carries an error object")
    try:
        status = int(stated.code or "")
    except ValueError:
        status = 0
    if before_content:
        refined = _by_status(status) if 400 <= status < 500 else kind
        refined = _account_kind(refined, stated, profile or Profile())
        if refined is not kind:
            return ResponseFailure(refined, Outcome.REJECTED, message, stated.code)
    return ResponseFailure(kind, Outcome.IN_DOUBT, message, stated.code)


def read_error_body(body: bytes) -> ServerError:
    """Read message and code from any known error envelope, or the text of another body.

    Known: ``{"error": {…}}`` and ``{"error": "…"}``, problem+json, the AI/ML API's older one
    (``statusCode`` as a text), ``{"code", "message"}``, ``{"detail": …}``, HTML.
    """
    document = parse_json(body) if len(body) < 1_000_000 else None
    if document is None:
        return ServerError(_body_text(body), None)
    value = document.value
    if isinstance(value, list):  # Google wraps its envelope in a list
        value = next(iter(cast("list[Any]", value)), None)
    if isinstance(value, str):
        return ServerError(_one_line(value), None)
    return _read_envelope(as_object(value))


def _read_envelope(envelope: dict[str, Any]) -> ServerError:
    error = envelope.get("error")
    inner = as_object(error) if isinstance(error, dict) else envelope
    message = _first_text(inner, "message", "detail", "title", "msg", "error_description")
    if message is None and isinstance(error, str):
        message = error
    if message is None:
        message = _validation_messages(inner.get("detail")) or _validation_messages(
            inner.get("message")
        )
    code = _first_text(inner, "code", "type", "statusCode", "status")
    return ServerError(_one_line(message), _one_line(code))


def _first_text(fields: dict[str, Any], *names: str) -> str | None:
    for name in names:
        value = fields.get(name)
        if isinstance(value, str) and value:
            return value
        number = as_count(value)
        if number is not None:
            return str(number)
    return None


def _validation_messages(detail: Any) -> str | None:
    """A list of validation problems as one line."""
    lines: list[str] = []
    for item in as_list(detail)[:20]:
        text = _first_text(as_object(item), "msg", "message") if isinstance(item, dict) else item
        if isinstance(text, str):
            lines.append(text)
    return "; ".join(lines) or None


def _body_text(body: bytes) -> str | None:
    text = body[: 4 * MAX_MESSAGE].decode("utf-8", "replace")
    if text.lstrip()[:1] == "<":
        text = "a page: " + _TAGS.sub(" ", text)
    return _one_line(text)


def _one_line(text: str | None) -> str | None:
    """One line of printable, valid Unicode, of bounded length; None for nothing."""
    if text is None:
        return None
    text = UnicodeCleaner().text(text[: 4 * MAX_MESSAGE])
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return _shorten(text) or None


def _shorten(text: str | None) -> str | None:
    if text is None or len(text) <= MAX_MESSAGE:
        return text
    return text[: MAX_MESSAGE - 1] + "…"


def _by_status(status: int) -> ErrorKind:
    kind = _BY_STATUS.get(status)
    if kind is None:
        kind = ErrorKind.SERVER_ERROR if 500 <= status < 600 else ErrorKind.HTTP_OTHER
    return kind


def _account_kind(kind: ErrorKind, error: ServerError, profile: Profile) -> ErrorKind:
    """The kind of a refusal, refined where it is about money or quota."""
    code = (error.code or "").casefold()
    words = f"{code} {(error.message or '').casefold()}"
    if code in _CREDIT_CODES or any(word.casefold() in words for word in profile.fatal_codes):
        return ErrorKind.OUT_OF_CREDIT
    if kind is ErrorKind.FORBIDDEN and _CREDIT_WORDS.search(words):
        return ErrorKind.OUT_OF_CREDIT
    if kind is ErrorKind.RATE_LIMITED and "insufficient_quota" in words:
        return ErrorKind.OUT_OF_CREDIT if profile.quota_is_money else ErrorKind.QUOTA
    return kind


def _host(location: str | None) -> str | None:
    """Scheme, host and port of a redirect's target: the rest may hold anything."""
    try:
        parts = urlsplit(location or "")
        port = "" if parts.port is None else f":{parts.port}"
        return f"{parts.scheme}://{parts.hostname}{port}"[:200] if parts.hostname else None
    except ValueError:
        return None
