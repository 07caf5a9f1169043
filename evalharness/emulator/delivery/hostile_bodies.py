"""Bodies that no client should trust, as broken servers, proxies and attackers send them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from evalharness.emulator.faults import Fault

_MIB = 1 << 20
Body = bytes | Iterator[bytes]  # pieces are sent as they are made


class HostileBody(msgspec.Struct, frozen=True):
    """A body to send with status 200, and what it says it is."""

    body: Body
    content_type: bytes = b"application/json"
    encoding: bytes | None = None


def hostile_body(fault: Fault, payload: dict[str, Any]) -> HostileBody:
    """The body that a fault of stage ``body`` sends instead of ``payload``."""
    return _BODY_MAKERS[fault.name](fault, payload)


def _change_json(
    change: Callable[[dict[str, Any]], Any],
) -> Callable[[Fault, dict[str, Any]], HostileBody]:
    """A maker that changes the answer and sends the result as JSON."""

    def make(_: Fault, payload: dict[str, Any]) -> HostileBody:
        return HostileBody(msgspec.json.encode(change(payload)))

    return make


def _without(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda payload: {key: value for key, value in payload.items() if key != name}


def _html(_: Fault, __: dict[str, Any]) -> HostileBody:
    page = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head>"
    page += b"<body><h1>502 Bad Gateway</h1><script>alert(1)</script></body></html>"
    return HostileBody(page, b"text/html; charset=utf-8")


def _truncated(_: Fault, payload: dict[str, Any]) -> HostileBody:
    body = msgspec.json.encode(payload)
    return HostileBody(body[: len(body) // 2])


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


def _replace_usage(usage: bytes) -> Callable[[Fault, dict[str, Any]], HostileBody]:
    """A maker that puts any text where the usage object belongs, valid JSON or not."""

    def make(_: Fault, payload: dict[str, Any]) -> HostileBody:
        return HostileBody(msgspec.json.encode({**payload, "usage": msgspec.Raw(usage)}))

    return make


def _extra_choices(payload: dict[str, Any]) -> dict[str, Any]:
    choices = payload["choices"]
    extra = [{**choices[-1], "index": len(choices) + i} for i in range(2)]
    return {**payload, "choices": [*choices, *extra]}


def _null_content(payload: dict[str, Any]) -> dict[str, Any]:
    first = payload["choices"][0]
    message = {**first["message"], "content": None}
    return {**payload, "choices": [{**first, "message": message}]}


def _plant_in_text(planted: bytes) -> Callable[[Fault, dict[str, Any]], HostileBody]:
    """A maker that plants bytes at the head of the first choice's text."""
    mark = "\N{OBJECT REPLACEMENT CHARACTER}planted"

    def make(_: Fault, payload: dict[str, Any]) -> HostileBody:
        first = payload["choices"][0]
        message = {**first["message"], "content": mark + first["message"]["content"]}
        marked = {**payload, "choices": [{**first, "message": message}]}
        return HostileBody(msgspec.json.encode(marked).replace(mark.encode(), planted))

    return make


def _deep(fault: Fault, payload: dict[str, Any]) -> HostileBody:
    depth = int(fault.number)
    body = msgspec.json.encode({**payload, "nested": msgspec.Raw(b"[" * depth + b"]" * depth)})
    return HostileBody(body)


def _big(fault: Fault, payload: dict[str, Any]) -> HostileBody:
    def pieces() -> Iterator[bytes]:
        yield b'{"padding":"'
        for _ in range(int(fault.number)):
            yield b"x" * _MIB
        yield b'",' + msgspec.json.encode(payload)[1:]

    return HostileBody(pieces())


def _gzip_bomb(fault: Fault, payload: dict[str, Any]) -> HostileBody:
    def pieces() -> Iterator[bytes]:
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)
        yield packer.compress(b'{"padding":"')
        for _ in range(int(fault.number)):
            yield packer.compress(b"x" * _MIB)
        yield packer.compress(b'",' + msgspec.json.encode(payload)[1:]) + packer.flush()

    return HostileBody(pieces(), encoding=b"gzip")


_NAN = b'{"prompt_tokens":NaN,"completion_tokens":Infinity,"total_tokens":-Infinity}'
_NEGATIVE = b'{"prompt_tokens":-8,"completion_tokens":-1,"total_tokens":-9}'
_HUGE = b'{"prompt_tokens":%b,"completion_tokens":1e999,"total_tokens":%b}' % (
    b"9" * 400,
    b"1" * 400,
)

_BODY_MAKERS: dict[str, Callable[[Fault, dict[str, Any]], HostileBody]] = {
    "html": _html,
    "empty_body": lambda _, __: HostileBody(b""),
    "truncated_json": _truncated,
    "wrong_types": _change_json(_wrong_types),
    "nan": _replace_usage(_NAN),
    "negative_usage": _replace_usage(_NEGATIVE),
    "huge_numbers": _replace_usage(_HUGE),
    "missing_usage": _change_json(_without("usage")),
    "null_usage": _change_json(lambda payload: {**payload, "usage": None}),
    "no_choices": _change_json(lambda payload: {**payload, "choices": []}),
    "missing_choices": _change_json(_without("choices")),
    "extra_choices": _change_json(_extra_choices),
    "null_content": _change_json(_null_content),
    "invalid_utf8": _plant_in_text(b"\xff\xfe\xc3\x28"),
    "lone_surrogates": _plant_in_text(b"\\ud83d"),
    "deep_nesting": _deep,
    "big_body": _big,
    "gzip_bomb": _gzip_bomb,
    "json_array": _change_json(lambda payload: [payload]),
    "error_object": _change_json(
        lambda _: {"error": {"message": "The model is overloaded.", "type": "server_error"}}
    ),
}
