"""What is stored of a response: bounded, allow-listed, without secrets."""

from __future__ import annotations

from typing import Any

import msgspec

from evalharness.chat_api.errors.error_classification import ResponseFailure
from evalharness.chat_api.lenient_json import JsonDocument, UnicodeCleaner, encode_json, parse_json
from evalharness.http.redaction import Redactor
from evalharness.records import Outcome, Reply, Status

RAW_LIMIT = 64 * 1024  # bytes stored of a body that delivered nothing

_ALLOWED_HEADERS = frozenset(
    {
        "age",
        "cf-ray",
        "content-length",
        "content-type",
        "date",
        "location",
        "openai-processing-ms",
        "openai-version",
        "request-id",
        "retry-after",
        "retry-after-ms",
        "server",
        "via",
        "x-client-request-id",
        "x-inference-id",
        "x-request-id",
        "x-should-retry",
    }
)
_ALLOWED_PREFIXES = ("x-ratelimit-", "ratelimit-", "x-aimlapi-", "anthropic-ratelimit-")
_MAX_HEADERS = 32
_MAX_HEADER_CHARS = 256  # characters of a header's value
_TEXTS = tuple(field.name for field in msgspec.structs.fields(Reply) if field.type == (str | None))


def failure_fields(failure: ResponseFailure) -> dict[str, Any]:
    """The fields of a Reply that a failure decides."""
    return {
        "outcome": failure.outcome,
        # A failure that is an answer is what a filter says of the prompt.
        "status": Status.REFUSED if failure.outcome is Outcome.DELIVERED else Status.ERROR,
        "error_kind": failure.kind,
        "error_message": failure.message,
        "error_code": failure.code,
        "retry_after_s": failure.retry_after_s,
    }


def clean_completion(document: JsonDocument, body: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a completion that is no strict JSON, cleaned, and the fields that store it."""
    cleaner = UnicodeCleaner()
    top = cleaner.tree(document.value)
    fields: dict[str, Any] = {
        "response_json": encode_json(top).decode(),
        "response_bytes": body,
        "text_sanitized": document.replaced or cleaner.replaced,
    }
    return top, fields


def body_fields(body: bytes) -> dict[str, Any]:
    """A body without an answer: as JSON where it is strict JSON of bounded size, else as bytes."""
    if len(body) <= RAW_LIMIT:
        document = parse_json(body)
        if document is not None and document.exact:
            return {"response_json": body.decode()}
    return raw_body_fields(body)


def raw_body_fields(body: bytes) -> dict[str, Any]:
    """The beginning of a body, as bytes."""
    return {"response_bytes": body[:RAW_LIMIT] or None}


def allowed_headers(headers: dict[str, str]) -> dict[str, str]:
    """The allow-listed headers: names lower-case, at most 32, values cut to 256 characters."""
    allowed: dict[str, str] = {}
    for name, value in headers.items():
        if name in _ALLOWED_HEADERS or name.startswith(_ALLOWED_PREFIXES):
            allowed[name if name in _ALLOWED_HEADERS else _short(name)] = _short(value)
            if len(allowed) == _MAX_HEADERS:
                break
    return allowed


def _short(text: str) -> str:
    if len(text) > _MAX_HEADER_CHARS:
        text = text[:_MAX_HEADER_CHARS]
    return text if text.isascii() else UnicodeCleaner().text(text)


def redact_reply(reply: Reply, redactor: Redactor) -> Reply:
    """The reply without any form of a secret in any of its texts."""
    changed: dict[str, Any] = {}
    for name in _TEXTS:
        value: str | None = getattr(reply, name)
        if value is not None and (masked := redactor.redact(value)) is not value:
            changed[name] = masked
    if reply.response_json is not None and (
        "\\u" in reply.response_json or "\\/" in reply.response_json
    ):
        # Escapes can spell a secret that only appears once they are decoded.
        document = parse_json(reply.response_json.encode())
        plain = encode_json(document.value).decode() if document is not None else ""
        if (masked := redactor.redact(plain)) is not plain:
            changed["response_json"] = masked
    headers = {
        redactor.redact(name): redactor.redact(value) for name, value in reply.headers.items()
    }
    if headers != reply.headers:
        changed["headers"] = headers
    if reply.response_bytes is not None:
        masked_bytes = redactor.redact_bytes(reply.response_bytes)
        if masked_bytes is not reply.response_bytes:
            changed["response_bytes"] = masked_bytes
    return msgspec.structs.replace(reply, **changed) if changed else reply
