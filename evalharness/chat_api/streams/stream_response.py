"""Reading a stream of events: merged into one completion, timed, and classified by its end."""

from __future__ import annotations

from typing import Any

from evalharness.chat_api.errors.error_body import body_text, error_in_event, loose_error, shorten
from evalharness.chat_api.errors.error_classification import (
    ResponseFailure,
    error_in_answer,
    network_failure,
)
from evalharness.chat_api.lenient_json import (
    JsonDocument,
    UnicodeCleaner,
    as_object,
    encode_json,
    is_object,
    parse_json,
)
from evalharness.chat_api.protocol import ApiProtocol
from evalharness.chat_api.response_fields import (
    NoAnswerError,
    has_usage,
    metadata_fields,
    read_completion,
)
from evalharness.chat_api.retention import failure_fields, raw_body_fields
from evalharness.chat_api.streams.sse import EventTooLongError, SseDecoder
from evalharness.chat_api.streams.stream_fast_path import ChunkTemplate
from evalharness.config.models import Profile, ProtocolName
from evalharness.http.exchange import Exchange
from evalharness.records import ErrorKind, Outcome

# What is in every stream of a protocol, and in none of the others.
_SIGNS: dict[ProtocolName, bytes] = {
    "chat": b'"chat.completion.chunk"',
    "responses": b'"response.created"',
    "messages": b'"message_start"',
}


class _StreamReader:
    """One pass over the events of a stream: what was merged and how it ended."""

    def __init__(
        self, exchange: Exchange, n: int | None, profile: Profile | None, protocol: ApiProtocol
    ) -> None:
        self.merger = protocol.merger(n)
        self._protocol = protocol
        self.failure: ResponseFailure | None = None
        self.done = False
        self.exact = True
        self.replaced = False
        self.last_event_ns: int | None = None
        self._profile = profile
        self._template: ChunkTemplate | None = None
        try:
            self._read(exchange.chunks, exchange.times_ns)
        except EventTooLongError as error:
            self.failure = ResponseFailure(ErrorKind.BAD_RESPONSE, Outcome.IN_DOUBT, str(error))

    def _read(self, chunks: list[bytes], times_ns: list[int]) -> None:
        decoder, index = SseDecoder(), 0
        while index < len(chunks):
            if self._template is not None and decoder.at_event_start:
                texts = self._template.read_texts(chunks, index)
                if texts:
                    self._add_texts(texts, times_ns[index : index + len(texts)])
                    index += len(texts)
                    continue
            for event in decoder.feed(chunks[index]):
                if not self._event(event.data, event.type, times_ns[index], chunks[index]):
                    return
            index += 1

    def _add_texts(self, texts: list[str], times_ns: list[int]) -> None:
        self.last_event_ns = times_ns[-1]
        self.merger.add_texts(texts, times_ns)

    def _event(self, data: bytes, kind: bytes, at_ns: int, raw: bytes) -> bool:
        """Take one event, which came in the bytes ``raw``; False ends the reading."""
        if (
            self._template is not None
            and kind != b"error"
            and (text := self._template.read_text(data))
        ):
            self._add_texts([text], [at_ns])
            return True
        if not data or data.isspace():
            return True
        self.last_event_ns = at_ns
        if data.strip() == b"[DONE]":
            self.done = True
            return False
        document = parse_json(data)
        value = None if document is None else document.value
        error = error_in_event(data, value, is_error=kind == b"error")
        if document is not None and error is None and is_object(value):
            error = self._protocol.stream_error(as_object(value))
            if error is not None and not self.merger.finished:
                self._merge(document, at_ns)
                self._error(error, is_counted=self.merger.is_counted)
                return False
        is_answer = error is None and is_object(value)
        if not is_answer and self.merger.finished and (error is None or self.merger.is_counted):
            return False  # the answer is whole and counted, whatever is said after it
        if error is not None:
            self._error(error)
            return False
        if document is None or not is_object(value):
            message = f"an event of the stream is no JSON object: {body_text(data)}"
            self.failure = ResponseFailure(
                ErrorKind.BAD_RESPONSE, Outcome.IN_DOUBT, shorten(message)
            )
            return False
        repeats = self._merge(document, at_ns) and document.exact and self._protocol.is_chat
        self._template = ChunkTemplate.from_chunk(data, as_object(value), raw) if repeats else None
        return True

    def _merge(self, document: JsonDocument, at_ns: int) -> bool:
        """Merge an event; whether it has content that counts."""
        self.exact &= document.exact
        self.replaced |= document.replaced
        return self.merger.add(as_object(document.value), at_ns)

    def read_loose_error(self, body: bytes) -> None:
        """Look for an error outside the events, where these end without an answer."""
        if self.failure is None and not self.merger.finished:
            error = loose_error(body)
            if error is not None:
                self._error(error)

    def _error(self, error: Any, *, is_counted: bool = False) -> None:
        """Take an error; ``is_counted``: it says itself that tokens were generated before it."""
        self.failure = error_in_answer(
            error,
            ErrorKind.STREAM_ERROR,
            self._profile,
            before_content=self.merger.first_ns is None and not is_counted,
        )


def read_stream(
    exchange: Exchange,
    body: bytes,
    n: int | None,
    keep_chunk_times: bool,
    profile: Profile | None,
    protocol: ApiProtocol,
) -> dict[str, Any]:
    """The fields of a Reply that come from a stream of events.

    A stream is an answer when every choice that was asked for got its finish_reason, and no content
    after it; what happened to the connection afterwards no longer matters. Of a server that sends
    no finish_reason it is one when usage and ``[DONE]`` came. Otherwise it is a failure, and what
    had come is kept in ``response_json``, never as a text.
    """
    reader = _StreamReader(exchange, n, profile, protocol)
    reader.read_loose_error(body)
    merger = reader.merger
    fields: dict[str, Any] = {
        "ttft_s": _seconds(merger.first_ns),
        "ttfo_s": _seconds(merger.first_output_ns),
        "ttfr_s": _seconds(merger.first_reasoning_ns),
        "last_reasoning_s": _seconds(merger.last_reasoning_ns),
        "last_content_s": _seconds(merger.times_ns[-1] if merger.times_ns else None),
    }
    if keep_chunk_times:
        fields["chunk_times_s"] = [at / 1e9 for at in merger.times_ns]
    top = merger.completion()
    if top is not None and not reader.exact:
        cleaner = UnicodeCleaner()
        top = cleaner.tree(top)
        fields["text_sanitized"] = reader.replaced or cleaner.replaced
        fields["response_bytes"] = body
    if top is not None:
        fields["response_json"] = encode_json(top).decode()
    completion = None if top is None else protocol.as_completion(top)
    failure = reader.failure or _unfinished(exchange, reader, completion, protocol, body)
    if failure is None and completion is not None:
        try:
            fields |= read_completion(completion, profile) | {"outcome": Outcome.DELIVERED}
        except NoAnswerError as error:
            failure = error.failure
            fields["finish_reason"] = error.finish_reason
    if failure is not None:
        fields |= metadata_fields(completion or {}, profile) | failure_fields(failure)
        if top is None or failure.kind is ErrorKind.BAD_RESPONSE or not reader.exact:
            fields |= raw_body_fields(body)
    elif exchange.failure is not None:
        fields["latency_s"] = _seconds(reader.last_event_ns)
    return fields


def _unfinished(
    exchange: Exchange,
    reader: _StreamReader,
    completion: dict[str, Any] | None,
    protocol: ApiProtocol,
    body: bytes,
) -> ResponseFailure | None:
    """Why the stream is no complete answer; None when it is one."""
    if reader.merger.finished:
        return None
    if reader.done and completion is not None and has_usage(metadata_fields(completion)):
        return None
    if exchange.failure is not None and not reader.done:
        return network_failure(exchange.failure, exchange.message, reached=True)
    message = f"the stream ended without {protocol.last_event}"
    other = next((n for n, sign in _SIGNS.items() if n != protocol.name and sign in body), None)
    if other is not None and reader.merger.first_ns is None:
        message += f"; its events are those of provider.protocol={other}"
    return ResponseFailure(ErrorKind.STREAM_CUT, Outcome.IN_DOUBT, message)


def _seconds(ns: int | None) -> float | None:
    return None if ns is None else ns / 1e9
