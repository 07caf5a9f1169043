"""Bodies no client should trust: what servers, proxies and attackers really send."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from evalharness.emulator.delivery.faults import Fault

_MIB = 1 << 20
Body = bytes | Iterator[bytes]  # pieces are sent as they are made


class Hostile(msgspec.Struct, frozen=True):
    """A body to send with status 200, and what it says it is."""

    body: Body
    content_type: bytes = b"application/json"
    encoding: bytes | None = None


def hostile(fault: Fault, payload: dict[str, Any]) -> Hostile:
    """The body that a fault of stage ``body`` sends instead of ``payload``."""
    return _MAKERS[fault.name](fault, payload)


def _json(change: Callable[[dict[str, Any]], Any]) -> Callable[[Fault, dict[str, Any]], Hostile]:
    """A maker that changes the answer and sends the result as JSON."""

    def make(_: Fault, payload: dict[str, Any]) -> Hostile:
        return Hostile(msgspec.json.encode(change(payload)))

    return make


def _without(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda payload: {key: value for key, value in payload.items() if key != name}


def _html(_: Fault, __: dict[str, Any]) -> Hostile:
    page = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head>"
    page += b"<body><h1>502 Bad Gateway</h1><script>alert(1)</script></body></html>"
    return Hostile(page, b"text/html; charset=utf-8")


def _truncated(_: Fault, payload: dict[str, Any]) -> Hostile:
    body = msgspec.json.encode(payload)
    return Hostile(body[: len(body) // 2])


def _wrong_types(payload: dict[str, Any]) -> dict[str, Any]:
    return {
        **payload,
        "id": 7,
        "created": "yesterday",
        "choices": [
            {"index": "0", "message": {"role": 1, "content": {"text": ["x"]}}, "finish_reason": []}
        ],
        "usage": {"prompt_tokens": "8", "completion_tokens": True, "total_tokens": [1]},
    }


def _usage_text(usage: bytes) -> Callable[[Fault, dict[str, Any]], Hostile]:
    """A maker that puts any text where the usage object belongs, valid JSON or not."""

    def make(_: Fault, payload: dict[str, Any]) -> Hostile:
        return Hostile(msgspec.json.encode({**payload, "usage": msgspec.Raw(usage)}))

    return make


def _extra_choices(payload: dict[str, Any]) -> dict[str, Any]:
    choices = payload["choices"]
    extra = [{**choices[-1], "index": len(choices) + i} for i in range(2)]
    return {**payload, "choices": [*choices, *extra]}


def _null_content(payload: dict[str, Any]) -> dict[str, Any]:
    first = payload["choices"][0]
    message = {**first["message"], "content": None}
    return {**payload, "choices": [{**first, "message": message}]}


def _in_text(planted: bytes) -> Callable[[Fault, dict[str, Any]], Hostile]:
    """A maker that plants bytes at the head of the first choice's text."""
    mark = "\N{OBJECT REPLACEMENT CHARACTER}planted"

    def make(_: Fault, payload: dict[str, Any]) -> Hostile:
        first = payload["choices"][0]
        message = {**first["message"], "content": mark + first["message"]["content"]}
        marked = {**payload, "choices": [{**first, "message": message}]}
        return Hostile(msgspec.json.encode(marked).replace(mark.encode(), planted))

    return make


def _deep(fault: Fault, payload: dict[str, Any]) -> Hostile:
    depth = int(fault.number)
    body = msgspec.json.encode({**payload, "nested": msgspec.Raw(b"[" * depth + b"]" * depth)})
    return Hostile(body)


def _big(fault: Fault, payload: dict[str, Any]) -> Hostile:
    def pieces() -> Iterator[bytes]:
        yield b'{"padding":"'
        for _ in range(int(fault.number)):
            yield b"x" * _MIB
        yield b'",' + msgspec.json.encode(payload)[1:]

    return Hostile(pieces())


def _gzip_bomb(fault: Fault, payload: dict[str, Any]) -> Hostile:
    def pieces() -> Iterator[bytes]:
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)
        yield packer.compress(b'{"padding":"')
        for _ in range(int(fault.number)):
            yield packer.compress(b"x" * _MIB)
        yield packer.compress(b'",' + msgspec.json.encode(payload)[1:]) + packer.flush()

    return Hostile(pieces(), encoding=b"gzip")


_NAN = b'{"prompt_tokens":NaN,"completion_tokens":Infinity,"total_tokens":-Infinity}'
_NEGATIVE = b'{"prompt_tokens":-8,"completion_tokens":-1,"total_tokens":-9}'
_HUGE = b'{"prompt_tokens":%b,"completion_tokens":1e999,"total_tokens":%b}' % (
    b"9" * 400,
    b"1" * 400,
)

_MAKERS: dict[str, Callable[[Fault, dict[str, Any]], Hostile]] = {
    "html": _html,
    "empty_body": lambda _, __: Hostile(b""),
    "truncated_json": _truncated,
    "wrong_types": _json(_wrong_types),
    "nan": _usage_text(_NAN),
    "negative_usage": _usage_text(_NEGATIVE),
    "huge_numbers": _usage_text(_HUGE),
    "missing_usage": _json(_without("usage")),
    "null_usage": _json(lambda payload: {**payload, "usage": None}),
    "no_choices": _json(lambda payload: {**payload, "choices": []}),
    "missing_choices": _json(_without("choices")),
    "extra_choices": _json(_extra_choices),
    "null_content": _json(_null_content),
    "invalid_utf8": _in_text(b"\xff\xfe\xc3\x28"),
    "lone_surrogates": _in_text(b"\\ud83d"),
    "deep_nesting": _deep,
    "big_body": _big,
    "gzip_bomb": _gzip_bomb,
    "json_array": _json(lambda payload: [payload]),
    "error_object": _json(
        lambda _: {"error": {"message": "The model is overloaded.", "type": "server_error"}}
    ),
}
