"""A stream of events read as one completion: merged, timed, and judged by how it ended."""

from __future__ import annotations

from typing import Any

from evalharness.chat_api.error_classification import Failure, error_in_answer, network_failure
from evalharness.chat_api.lenient_json import Cleaner, as_object, encode_json, is_object, parse_json
from evalharness.chat_api.response_fields import NoAnswerError, about, read_completion
from evalharness.chat_api.retention import failed, kept_raw
from evalharness.chat_api.sse import SseDecoder, TooLongError
from evalharness.chat_api.stream_fast_path import Alike
from evalharness.chat_api.stream_merge import Merger
from evalharness.config.models import Profile
from evalharness.http.exchange import Exchange
from evalharness.records import ErrorKind, Outcome


class _StreamRead:
    """One pass over the events of a stream: what was merged and how it ended."""

    def __init__(self, exchange: Exchange, profile: Profile | None) -> None:
        self.merger = Merger()
        self.failure: Failure | None = None
        self.done = False
        self.exact = True
        self.replaced = False
        self.last_event_ns: int | None = None
        self._profile = profile
        self._alike: Alike | None = None
        try:
            self._read(exchange.chunks, exchange.times_ns)
        except TooLongError as error:
            self.failure = Failure(ErrorKind.BAD_RESPONSE, Outcome.IN_DOUBT, str(error))

    def _read(self, chunks: list[bytes], times_ns: list[int]) -> None:
        decoder, at = SseDecoder(), 0
        while at < len(chunks):
            if self._alike is not None and decoder.at_rest:
                texts = self._alike.run(chunks, at)
                if texts:
                    self._texts(texts, times_ns[at : at + len(texts)])
                    at += len(texts)
                    continue
            for event in decoder.feed(chunks[at]):
                if not self._event(event.data, event.type, times_ns[at], chunks[at]):
                    return
            at += 1

    def _texts(self, texts: list[str], times_ns: list[int]) -> None:
        self.last_event_ns = times_ns[-1]
        self.merger.add_texts(texts, times_ns)

    def _event(self, data: bytes, kind: bytes, at_ns: int, raw: bytes) -> bool:
        """Take one event, found in the bytes ``raw``; False ends the reading."""
        if self._alike is not None and kind != b"error" and (text := self._alike.text(data)):
            self._texts([text], [at_ns])
            return True
        if not data or data.isspace():
            return True
        self.last_event_ns = at_ns
        if data.strip() == b"[DONE]":
            self.done = True
            return False
        document = parse_json(data)
        if document is None or not is_object(document.value):
            if kind == b"error":
                self._error(data.decode("utf-8", "replace"))
            else:
                message = "an event of the stream is no JSON object"
                self.failure = Failure(ErrorKind.BAD_RESPONSE, Outcome.IN_DOUBT, message)
            return False
        self.exact &= document.exact
        self.replaced |= document.replaced
        chunk = as_object(document.value)
        if kind == b"error" or chunk.get("error"):
            self._error(chunk.get("error") or chunk)
            return False
        self.merger.add(chunk, at_ns)
        self._alike = Alike.of(data, chunk, raw) if document.exact else None
        return True

    def _error(self, error: Any) -> None:
        self.failure = error_in_answer(
            error,
            ErrorKind.STREAM_ERROR,
            self._profile,
            before_content=self.merger.first_ns is None,
        )


def read_stream(
    exchange: Exchange, body: bytes, keep_chunk_times: bool, profile: Profile | None
) -> dict[str, Any]:
    """The fields of a Reply that come from a stream of events.

    A stream is an answer when every choice got its finish_reason; what happened to the connection
    afterwards no longer matters. Otherwise it is a failure, and what had come is kept in
    ``response_json``, never as a text.
    """
    read = _StreamRead(exchange, profile)
    merger = read.merger
    found: dict[str, Any] = {
        "ttft_s": _seconds(merger.first_ns),
        "ttfo_s": _seconds(merger.first_output_ns),
        "last_content_s": _seconds(merger.times_ns[-1] if merger.times_ns else None),
    }
    if keep_chunk_times:
        found["chunk_times_s"] = [at / 1e9 for at in merger.times_ns]
    top = merger.completion()
    if top is not None and not read.exact:
        cleaner = Cleaner()
        top = cleaner.tree(top)
        found["text_sanitized"] = read.replaced or cleaner.lost
        found["response_bytes"] = body
    if top is not None:
        found["response_json"] = encode_json(top).decode()
    failure = read.failure or _unfinished(exchange, read)
    if failure is None and top is not None:
        try:
            found |= read_completion(top, profile) | {"outcome": Outcome.DELIVERED}
        except NoAnswerError as error:
            failure = error.failure
    if failure is not None:
        found |= about(top or {}) | failed(failure)
        if top is None or failure.kind is ErrorKind.BAD_RESPONSE or not read.exact:
            found |= kept_raw(body)
    elif exchange.failure is not None:
        found["latency_s"] = _seconds(read.last_event_ns)
    return found


def _unfinished(exchange: Exchange, read: _StreamRead) -> Failure | None:
    """Why the stream is no complete answer; None when it is one."""
    if read.merger.finished:
        return None
    if exchange.failure is not None and not read.done:
        return network_failure(exchange.failure, exchange.message, reached=True)
    message = "the stream ended without a finish_reason"
    return Failure(ErrorKind.STREAM_CUT, Outcome.IN_DOUBT, message)


def _seconds(ns: int | None) -> float | None:
    return None if ns is None else ns / 1e9
