"""Interpretation of an exchange: any bytes become exactly one Reply.

:func:`interpret` is pure: no clock, no network, no state. So a unit test can cover any hostile
body, and the same exchange always gives the same record. Whether a body is JSON or a stream of
events is decided by its bytes, since servers answer either request in either form.
"""

from __future__ import annotations

import re
from typing import Any

from evalharness.chat_api.bill import bill_in_headers
from evalharness.chat_api.errors.error_body import body_text, error_in_event, loose_error, shorten
from evalharness.chat_api.errors.error_classification import (
    ResponseFailure,
    error_in_answer,
    http_failure,
    network_failure,
)
from evalharness.chat_api.lenient_json import JsonDocument, as_object, is_object, parse_json
from evalharness.chat_api.protocol import ApiProtocol
from evalharness.chat_api.protocols import get_protocol
from evalharness.chat_api.response_fast_path import read_fast_path
from evalharness.chat_api.response_fields import (
    NoAnswerError,
    metadata_fields,
    read_completion,
)
from evalharness.chat_api.retention import (
    RAW_LIMIT,
    allowed_headers,
    body_fields,
    clean_completion,
    failure_fields,
    raw_body_fields,
    redact_reply,
)
from evalharness.chat_api.streams.stream_response import read_stream
from evalharness.config.models import Profile
from evalharness.http.exchange import Exchange
from evalharness.http.redaction import Redactor
from evalharness.records import ErrorKind, Outcome, Reply

# Servers send blank lines to keep a connection alive, before JSON too.
_BLANK = re.compile(rb"(?:\xef\xbb\xbf)?\s*")
_CHAT = get_protocol("chat")
_SSE_STARTS = (b"data:", b"event:", b"id:", b"retry:", b"error:", b":")


def interpret(
    exchange: Exchange,
    *,
    streamed: bool,
    n: int | None = None,
    keep_chunk_times: bool = False,
    redactor: Redactor | None = None,
    profile: Profile | None = None,
    protocol: ApiProtocol = _CHAT,
) -> Reply:
    """Classify one exchange; never raises.

    Args:
        exchange: what the transport observed.
        streamed: whether the request asked for a stream. It only matters for an empty body.
        n: how many choices the request asked for; None: unknown. Others of a stream are kept, and
            need not come to their end.
        keep_chunk_times: keep the arrival time of every content chunk.
        redactor: removes secrets from everything that is stored.
        profile: how the provider's errors are classified.
        protocol: in which the request was made.
    """
    body = b"".join(exchange.chunks)
    try:
        reply = _interpret(exchange, body, streamed, n, keep_chunk_times, profile, protocol)
        return redact_reply(reply, redactor) if redactor is not None else reply
    except Exception as error:  # an answer that was paid for must not be lost to a bug in here
        what = "nested too deeply" if isinstance(error, RecursionError) else type(error).__name__
        failure = ResponseFailure(
            ErrorKind.BAD_RESPONSE, Outcome.IN_DOUBT, f"could not be read: {what}"
        )
        raw = body[:RAW_LIMIT] if redactor is None else redactor.redact_bytes(body[:RAW_LIMIT])
        return Reply(
            **failure_fields(failure),
            http_status=exchange.status,
            sent_at_ns=exchange.sent_at_ns,
            response_bytes=raw or None,
        )


def _interpret(
    exchange: Exchange,
    body: bytes,
    streamed: bool,
    n: int | None,
    keep_chunk_times: bool,
    profile: Profile | None,
    protocol: ApiProtocol,
) -> Reply:
    fields: dict[str, Any] = {
        "http_status": exchange.status,
        "sent_at_ns": exchange.sent_at_ns,
        "headers_s": exchange.headers_s,
        "latency_s": exchange.latency_s if exchange.failure is None else None,
    }
    if exchange.status is None:
        failure = network_failure(
            exchange.failure or ErrorKind.CONNECTION_LOST,
            exchange.message,
            reached=exchange.reached,
        )
        if failure.outcome is Outcome.NOT_SENT:
            fields["sent_at_ns"] = None
        return Reply(**fields | failure_fields(failure))
    fields["headers"] = headers = allowed_headers(exchange.headers)
    fields["inference_id"] = headers.get("x-inference-id")
    is_stream = _is_stream(exchange, body, streamed)
    bill = bill_in_headers(exchange.headers, profile, streamed=is_stream)
    fields["billed_usd"], fields["billed_credits"] = bill
    if not 200 <= exchange.status < 300:
        failure = http_failure(exchange.status, exchange.headers, body, profile)
        return Reply(**fields | failure_fields(failure) | body_fields(body))
    is_plain = protocol.is_chat and exchange.failure is None and body[:1] == b"{"
    completion = read_fast_path(body, profile) if is_plain else None
    if completion is None:
        if exchange.failure is ErrorKind.TOO_LARGE or exchange.failure is ErrorKind.BAD_ENCODING:
            failure = network_failure(exchange.failure, exchange.message, reached=True)
            return Reply(**fields | failure_fields(failure) | raw_body_fields(body))
        if is_stream:
            completion = read_stream(exchange, body, n, keep_chunk_times, profile, protocol)
        else:
            completion = _read_json(exchange, body, profile, protocol)
    # A cost in the body replaces that of the headers; without one the headers' stays.
    for key in ("billed_usd", "billed_credits"):
        if completion.get(key) is None:
            completion.pop(key, None)
    fields.update(completion)
    return Reply(**fields)


def _is_stream(exchange: Exchange, body: bytes, streamed: bool) -> bool:
    blank = _BLANK.match(body)
    start = blank.end() if blank else 0
    if start == len(body):
        return streamed
    if body.startswith((b"{", b"["), start):
        return False
    if body.startswith(_SSE_STARTS, start):
        return True
    return "event-stream" in exchange.headers.get("content-type", "")


def _no_object(
    body: bytes, document: JsonDocument | None, profile: Profile | None
) -> ResponseFailure:
    """Classify a body that should be a JSON object and is none: an error in another form?"""
    if document is None:
        error = loose_error(body)
    else:
        error = error_in_event(body, document.value, is_error=False)
    if error is not None:
        return error_in_answer(error, ErrorKind.BAD_RESPONSE, profile, before_content=True)
    what = "is not JSON" if document is None else "is JSON, but no object"
    text = body_text(body)
    message = f"the response {what}: {text}" if text else "the response is empty"
    return ResponseFailure(ErrorKind.NOT_JSON, Outcome.IN_DOUBT, shorten(message))


def _read_json(
    exchange: Exchange, body: bytes, profile: Profile | None, protocol: ApiProtocol
) -> dict[str, Any]:
    document = parse_json(body)
    if document is None or not is_object(document.value):
        if exchange.failure is not None:
            failure = network_failure(exchange.failure, exchange.message, reached=True)
        else:
            failure = _no_object(body, document, profile)
        return failure_fields(failure) | raw_body_fields(body)
    if document.exact:
        top = as_object(document.value)
        stored: dict[str, Any] = {"response_json": body.decode()}
    else:
        top, stored = clean_completion(document, body)
    completion = protocol.as_completion(top)
    try:
        fields = read_completion(completion, profile)
    except NoAnswerError as error:
        failure = error.failure
        if exchange.failure is not None and failure.outcome is Outcome.IN_DOUBT:
            failure = network_failure(exchange.failure, exchange.message, reached=True)
        fields = metadata_fields(completion, profile) | {"finish_reason": error.finish_reason}
        return fields | failure_fields(failure) | body_fields(body)
    if exchange.failure is not None:
        # The JSON text is whole, so the answer is: only the end of the connection failed.
        fields["latency_s"] = exchange.times_ns[-1] / 1e9
    fields.update(stored)
    fields["outcome"] = Outcome.DELIVERED
    return fields
