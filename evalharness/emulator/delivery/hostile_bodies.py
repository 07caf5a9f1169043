"""Bodies that no client should trust, as broken servers, proxies and attackers send them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from evalharness.emulator.faults import Fault

_MIB = 1 << 20
Payload = dict[str, Any]
Body = bytes | Iterator[bytes]  # pieces are sent as they are made


class HostileBody(msgspec.Struct, frozen=True):
    """A body to send with status 200, and what it says it is."""

    body: Body
    content_type: bytes = b"application/json"
    encoding: bytes | None = None


class AnswerShape(msgspec.Struct, frozen=True):
    """Where the parts of a protocol's answer stand.

    Attributes:
        answers: the member that lists what was generated.
        prompt_tokens: the usage's count of the prompt.
        completion_tokens: and of what was generated.
        more_answers: two more items beside those that were generated.
        with_text: the payload with its first text changed; as it is where it has none.
        wrong: members of other types than the documented ones, in place of the real ones.
        error: what stands in place of an answer that failed.
    """

    answers: str
    prompt_tokens: str
    completion_tokens: str
    more_answers: Callable[[list[Any]], list[Any]]
    with_text: Callable[[Payload, Callable[[str], Any]], Payload]
    wrong: Payload
    error: Payload


_Maker = Callable[[Fault, Payload, AnswerShape], HostileBody]


def hostile_body(fault: Fault, payload: Payload, shape: AnswerShape) -> HostileBody:
    """The body that a fault of stage ``body`` sends instead of ``payload``."""
    return _BODY_MAKERS[fault.name](fault, payload, shape)


def _change_json(change: Callable[[Payload, AnswerShape], Any]) -> _Maker:
    """A maker that changes the answer and sends the result as JSON."""

    def make(_: Fault, payload: Payload, shape: AnswerShape) -> HostileBody:
        return HostileBody(msgspec.json.encode(change(payload, shape)))

    return make


def _without(payload: Payload, name: str) -> Payload:
    return {key: value for key, value in payload.items() if key != name}


def _html(_: Fault, __: Payload, ___: AnswerShape) -> HostileBody:
    page = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head>"
    page += b"<body><h1>502 Bad Gateway</h1><script>alert(1)</script></body></html>"
    return HostileBody(page, b"text/html; charset=utf-8")


def _truncated(_: Fault, payload: Payload, __: AnswerShape) -> HostileBody:
    body = msgspec.json.encode(payload)
    return HostileBody(body[: len(body) // 2])


def _replace_usage(prompt: bytes, completion: bytes, total: bytes) -> _Maker:
    """A maker that puts any texts where the counts belong, valid JSON or not."""

    def make(_: Fault, payload: Payload, shape: AnswerShape) -> HostileBody:
        names = (shape.prompt_tokens.encode(), shape.completion_tokens.encode(), b"total_tokens")
        counts = zip(names, (prompt, completion, total), strict=True)
        usage = b"{" + b",".join(b'"%b":%b' % pair for pair in counts) + b"}"
        return HostileBody(msgspec.json.encode({**payload, "usage": msgspec.Raw(usage)}))

    return make


def _plant_in_text(planted: bytes) -> _Maker:
    """A maker that plants bytes at the head of the first text."""
    mark = "\N{OBJECT REPLACEMENT CHARACTER}planted"

    def make(_: Fault, payload: Payload, shape: AnswerShape) -> HostileBody:
        marked = shape.with_text(payload, lambda text: mark + text)
        return HostileBody(msgspec.json.encode(marked).replace(mark.encode(), planted))

    return make


def _deep(fault: Fault, payload: Payload, _: AnswerShape) -> HostileBody:
    depth = int(fault.number)
    body = msgspec.json.encode({**payload, "nested": msgspec.Raw(b"[" * depth + b"]" * depth)})
    return HostileBody(body)


def _big(fault: Fault, payload: Payload, _: AnswerShape) -> HostileBody:
    def pieces() -> Iterator[bytes]:
        yield b'{"padding":"'
        for __ in range(int(fault.number)):
            yield b"x" * _MIB
        yield b'",' + msgspec.json.encode(payload)[1:]

    return HostileBody(pieces())


def _gzip_bomb(fault: Fault, payload: Payload, _: AnswerShape) -> HostileBody:
    def pieces() -> Iterator[bytes]:
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)
        yield packer.compress(b'{"padding":"')
        for __ in range(int(fault.number)):
            yield packer.compress(b"x" * _MIB)
        yield packer.compress(b'",' + msgspec.json.encode(payload)[1:]) + packer.flush()

    return HostileBody(pieces(), encoding=b"gzip")


_BODY_MAKERS: dict[str, _Maker] = {
    "html": _html,
    "empty_body": lambda _, __, ___: HostileBody(b""),
    "truncated_json": _truncated,
    "wrong_types": _change_json(lambda payload, shape: {**payload, **shape.wrong}),
    "nan": _replace_usage(b"NaN", b"Infinity", b"-Infinity"),
    "negative_usage": _replace_usage(b"-8", b"-1", b"-9"),
    "huge_numbers": _replace_usage(b"9" * 400, b"1e999", b"1" * 400),
    "missing_usage": _change_json(lambda payload, _: _without(payload, "usage")),
    "null_usage": _change_json(lambda payload, _: {**payload, "usage": None}),
    "no_choices": _change_json(lambda payload, shape: {**payload, shape.answers: []}),
    "missing_choices": _change_json(lambda payload, shape: _without(payload, shape.answers)),
    "extra_choices": _change_json(
        lambda payload, shape: {
            **payload,
            shape.answers: [
                *payload[shape.answers],
                *shape.more_answers(payload[shape.answers]),
            ],
        }
    ),
    "null_content": _change_json(lambda payload, shape: shape.with_text(payload, lambda _: None)),
    "invalid_utf8": _plant_in_text(b"\xff\xfe\xc3\x28"),
    "lone_surrogates": _plant_in_text(b"\\ud83d"),
    "deep_nesting": _deep,
    "big_body": _big,
    "gzip_bomb": _gzip_bomb,
    "json_array": _change_json(lambda payload, _: [payload]),
    "error_object": _change_json(lambda _, shape: shape.error),
}
