"""What a failure means: its kind, its billing class, and what the server said about it."""

from __future__ import annotations

import re
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

from evalharness.chat_api.lenient_json import Cleaner, as_count, as_list, as_object, parse_json
from evalharness.config.models import Profile
from evalharness.records import ErrorKind, Outcome

MAX_MESSAGE = 2000  # characters of an error message that are kept

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
# Codes that say "no money" at any provider that uses them.
_CREDIT_CODES = frozenset({"arrearage", "insufficient_balance", "billing_hard_limit_reached"})
_TAGS = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]{0,2000}>", re.IGNORECASE | re.DOTALL)


class Said(NamedTuple):
    """What an error body says: a message for people and the provider's own code, if any."""

    message: str | None
    code: str | None


class Failure(NamedTuple):
    """A classified failure."""

    kind: ErrorKind
    outcome: Outcome
    message: str | None
    code: str | None = None


def network_failure(kind: ErrorKind, message: str | None, *, reached: bool) -> Failure:
    """Classify an exchange without a usable response."""
    not_sent = kind in _NOT_SENT or not reached
    return Failure(kind, Outcome.NOT_SENT if not_sent else Outcome.IN_DOUBT, _capped(message))


def http_failure(
    status: int, headers: dict[str, str], body: bytes, profile: Profile | None
) -> Failure:
    """Classify a response whose status is not 2xx, by the retry table of the wire's decisions."""
    profile = profile or Profile()
    said = error_said(body)
    message = f"HTTP {status}" + (f": {said.message}" if said.message else "")
    if 300 <= status < 400:
        target = _host(headers.get("location"))
        message = f"HTTP {status} to {target or 'an unnamed place'}; redirects are not followed"
        return Failure(ErrorKind.REDIRECT, Outcome.REJECTED, message, said.code)
    kind = _by_status(status)
    if 400 <= status < 500:
        kind = _money(kind, said, profile)
        outcome = Outcome.REJECTED
    elif kind is ErrorKind.UNAVAILABLE or (
        kind is ErrorKind.SERVER_ERROR and profile.failed_calls_billed is False
    ):
        outcome = Outcome.REJECTED
    else:
        outcome = Outcome.IN_DOUBT
    return Failure(kind, outcome, _capped(message), said.code)


def error_in_answer(
    error: Any, kind: ErrorKind, profile: Profile | None, *, before_content: bool
) -> Failure:
    """Classify an error object inside a 2xx response (``kind`` when nothing better is known).

    A 4xx code inside, given before any content, is the server's refusal in another dress.
    """
    said = _object_said(as_object(error) if isinstance(error, dict) else {"error": error})
    message = _capped(said.message or "the response carries an error object")
    try:
        status = int(said.code or "")
    except ValueError:
        status = 0
    if before_content:
        refined = _by_status(status) if 400 <= status < 500 else kind
        refined = _money(refined, said, profile or Profile())
        if refined is not kind:
            return Failure(refined, Outcome.REJECTED, message, said.code)
    return Failure(kind, Outcome.IN_DOUBT, message, said.code)


def error_said(body: bytes) -> Said:
    """Read the message and code out of any known error envelope, or a plain text of the body.

    Known: ``{"error": {…}}`` and ``{"error": "…"}``, problem+json, the AI/ML API's older one
    (``statusCode`` as a text), ``{"code", "message"}``, ``{"detail": …}``, HTML.
    """
    document = parse_json(body) if len(body) < 1_000_000 else None
    if document is None:
        return Said(_plain(body), None)
    value = document.value
    if isinstance(value, list):  # Google wraps its envelope in a list
        value = next(iter(cast("list[Any]", value)), None)
    if isinstance(value, str):
        return Said(_tidy(value), None)
    return _object_said(as_object(value))


def _object_said(envelope: dict[str, Any]) -> Said:
    error = envelope.get("error")
    inner = as_object(error) if isinstance(error, dict) else envelope
    message = _first(inner, "message", "detail", "title", "msg", "error_description")
    if message is None and isinstance(error, str):
        message = error
    if message is None:
        message = _validation(inner.get("detail")) or _validation(inner.get("message"))
    code = _first(inner, "code", "type", "statusCode", "status")
    return Said(_tidy(message), _tidy(code))


def _first(fields: dict[str, Any], *names: str) -> str | None:
    for name in names:
        value = fields.get(name)
        if isinstance(value, str) and value:
            return value
        number = as_count(value)
        if number is not None:
            return str(number)
    return None


def _validation(detail: Any) -> str | None:
    """A list of validation problems as one line."""
    lines: list[str] = []
    for item in as_list(detail)[:20]:
        text = _first(as_object(item), "msg", "message") if isinstance(item, dict) else item
        if isinstance(text, str):
            lines.append(text)
    return "; ".join(lines) or None


def _plain(body: bytes) -> str | None:
    text = body[: 4 * MAX_MESSAGE].decode("utf-8", "replace")
    if text.lstrip()[:1] == "<":
        text = "a page: " + _TAGS.sub(" ", text)
    return _tidy(text)


def _tidy(text: str | None) -> str | None:
    """One line of printable, valid Unicode, of bounded length; None for nothing."""
    if text is None:
        return None
    text = Cleaner().text(text[: 4 * MAX_MESSAGE])
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return _capped(text) or None


def _capped(text: str | None) -> str | None:
    if text is None or len(text) <= MAX_MESSAGE:
        return text
    return text[: MAX_MESSAGE - 1] + "…"


def _by_status(status: int) -> ErrorKind:
    kind = _BY_STATUS.get(status)
    if kind is None:
        kind = ErrorKind.SERVER_ERROR if 500 <= status < 600 else ErrorKind.HTTP_OTHER
    return kind


def _money(kind: ErrorKind, said: Said, profile: Profile) -> ErrorKind:
    """Refine a refusal that is about money or quota."""
    code = (said.code or "").casefold()
    words = f"{code} {(said.message or '').casefold()}"
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
