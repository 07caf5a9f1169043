"""What a server says about an error: its words, its codes and the wait it asks for.

Servers agree neither on the envelope nor on where in it the words stand. So all known places are
looked at, from the most specific to the most general, and a body of no known form is its own
message.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

from evalharness.chat_api.lenient_json import (
    UnicodeCleaner,
    as_count,
    as_object,
    encode_json,
    is_object,
    parse_json,
)

MAX_MESSAGE = 2000  # characters of an error message that are stored

_LONGEST_BODY = 1_000_000  # bytes that are read as JSON
_MOST_ITEMS = 20  # of a list of problems
_MOST_BARE_LINES = 100  # that may begin an error; each may go on over many
_DEEPEST = 8  # levels of an envelope
# Where the words stand, the most specific first; `error` as a text is often only a title.
_WORDS = (
    "message", "detail", "msg", "error_description", "error_message", "error_msg", "errorMessage",
    "status_msg", "errmsg", "Message", "description", "reason", "title", "error", "errors",
    "base_resp", "details",
)  # fmt: skip
_PLACES = ("loc", "path", "field", "property", "param")
_CODES = ("code", "type", "statusCode", "status")
# Keys that say nothing in words: an object of these alone has no message.
_WORDLESS = frozenset({*_CODES, "param", "object", "request_id", "requestId", "id"})
_NO_TYPE = "about:blank"  # RFC 9457: the problem is no more than its HTTP status
_NO_ERROR_CODES = frozenset({"", "ok", "success", "none", "null"})
_TAGS = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]{0,2000}>", re.IGNORECASE | re.DOTALL)
# Lines of a body that may be an error outside any event: a field `error`, or bare JSON.
_LOOSE_LINE = re.compile(rb"(?:\A|(?<=[\r\n]))(?:error:[^\r\n]*|data:[^\r\n]*|[\[{])")
_RETRY_DELAY = re.compile(r"(\d{1,9}(?:\.\d{0,12})?)s", re.ASCII)
_LONGEST_WAIT_S = 31 * 86_400.0


class ServerError(NamedTuple):
    """An error as the server describes it.

    Attributes:
        message: its words, on one line; None where there are none.
        code: its own code or type; None where it has none.
        codes: all codes, types and states it names, in lower case.
        retry_after_s: seconds it asks to wait (``google.rpc.RetryInfo``); None where it does not.
    """

    message: str | None
    code: str | None
    codes: tuple[str, ...] = ()
    retry_after_s: float | None = None


def read_error_body(body: bytes) -> ServerError:
    """Read an error from the body of a response: JSON, events, lines of JSON, a page or a text."""
    document = parse_json(body) if len(body) < _LONGEST_BODY else None
    if document is not None:
        return read_error(document.value)
    loose = loose_error(body)
    return ServerError(body_text(body), None) if loose is None else read_error(loose)


def read_error(value: Any) -> ServerError:
    """Read an error from decoded JSON: an envelope, what stands in one, a list of either."""
    wait_s = _retry_info_s(value)
    if isinstance(value, list):  # Google wraps its envelope in a list
        items = cast("list[Any]", value)
        first = as_object(items[0]) if items else {}
        value = first if "error" in first or len(items) == 1 else {"errors": items, **_codes(first)}
    if not is_object(value):
        return ServerError(one_line(value) if isinstance(value, str) else None, None, (), wait_s)
    envelope = as_object(value)
    error = envelope.get("error")
    inner = as_object(error) if isinstance(error, dict) else envelope
    message = _words(inner) or _words(envelope) or _as_it_is(inner)
    upstream = _upstream_words(inner, message or "")
    if upstream is not None:
        message = f"{message}: {upstream}" if message else upstream
    code = _code(inner, *_CODES) or _code(envelope, "code", "statusCode", "status")
    return ServerError(one_line(message), one_line(code), tuple(_all_codes(envelope)), wait_s)


def stated_error(top: dict[str, Any]) -> dict[str, Any] | None:
    """The object itself where it is an error in place of an answer or of a part of one.

    That is: it has an ``error``; or it has no choices and calls itself an error, carries a code of
    failure beside its words, or a list of problems. A note on progress is none.
    """
    if top.get("error"):
        return top
    if top.get("choices"):
        return None
    if top.get("object") == "error" or top.get("type") == "error":
        return top
    if as_count(as_object(top.get("base_resp")).get("status_code")):
        return top
    if "choices" in top or "usage" in top:
        return None
    if isinstance(top.get("detail"), str | list):
        return top
    failed = any(_is_failure(top.get(name)) for name in ("code", "statusCode", "status"))
    return top if failed and _words(top) is not None else None


def error_in_event(data: bytes, value: Any, *, is_error: bool) -> Any | None:
    """The error in one event of a stream; None where it is none.

    Args:
        data: of the event.
        value: the same decoded; None where it is no JSON.
        is_error: the event's own type says that it is an error.
    """
    if isinstance(value, list) and is_object(value[:1] and value[0]):
        items = cast("list[dict[str, Any]]", value)
        return items if is_error or stated_error(items[0]) is not None else None
    if is_object(value):
        error = as_object(value)
        return error if is_error else stated_error(error)
    if not is_error:
        return None
    return value if isinstance(value, str) else data.decode("utf-8", "replace")


def loose_error(body: bytes) -> Any | None:
    """The first error that stands outside the events of a body, or in an event without an end.

    Some servers write it as a field of its own (``error: …``), others as a bare line of JSON.
    """
    bare_lines = 0
    for match in _LOOSE_LINE.finditer(body):
        line = match.group()
        if line.startswith(b"data:"):
            if b"error" in line or b"message" in line or b"detail" in line:
                document = parse_json(line[5:].strip())
                error = document and error_in_event(b"", document.value, is_error=False)
                if error is not None:
                    return error
        elif line.startswith(b"error:"):
            text = line[6:].strip()
            document = parse_json(text)
            if text:
                return error_in_event(text, document and document.value, is_error=True)
        elif (bare_lines := bare_lines + 1) <= _MOST_BARE_LINES:
            value = _json_at(body, match.start())
            if (error := error_in_event(b"", value, is_error=False)) is not None:
                return error
    return None


def body_text(body: bytes) -> str | None:
    """The beginning of a body as a text: of a page what it shows; None for nothing."""
    text = body[: 4 * MAX_MESSAGE].decode("utf-8", "replace")
    if text.lstrip()[:1] == "<":
        text = "a page: " + _TAGS.sub(" ", text)
    return one_line(text)


def one_line(text: str | None) -> str | None:
    """One line of printable, valid Unicode, of bounded length; None for nothing."""
    if text is None:
        return None
    text = UnicodeCleaner().text(text[: 4 * MAX_MESSAGE])
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return shorten(text) or None


def shorten(text: str | None) -> str | None:
    """The text, cut to what is stored."""
    if text is None or len(text) <= MAX_MESSAGE:
        return text
    return text[: MAX_MESSAGE - 1] + "…"


def _json_at(body: bytes, start: int) -> Any:
    """The JSON value that begins there, on however many lines; None where there is none."""
    end = body.find(b"\n", start)
    document = parse_json(body[start : end if end >= 0 else len(body)])
    if document is not None:
        return document.value
    try:
        text = body[start : start + 16 * MAX_MESSAGE].decode("utf-8", "replace")
        return json.JSONDecoder().raw_decode(text)[0]
    except (ValueError, RecursionError):
        return None


def _words(value: Any, depth: int = 0) -> str | None:
    """The words in a value: of an object those in the first of its fields that has any."""
    if isinstance(value, str):
        return value if value.strip() else None
    if depth > _DEEPEST:
        return None
    if isinstance(value, list):
        items = cast("list[Any]", value)[:_MOST_ITEMS]
        lines = [_problem(item, depth + 1) for item in items]
        return "; ".join(line for line in lines if line) or None
    fields = as_object(value)
    for name in _WORDS:
        value = fields.get(name)
        if value is None:
            continue
        text = _field_problems(value, depth) if name == "errors" else _words(value, depth + 1)
        if text is None and (number := as_count(value)) is not None:
            text = str(number)
        if text is not None:
            return _with_problems(text, name, fields, depth)
    return None


def _with_problems(text: str, name: str, fields: dict[str, Any], depth: int) -> str:
    """The words of a title with the list of problems that stands beside it."""
    errors = None if name == "errors" else fields.get("errors")
    problems = None if errors is None else _field_problems(errors, depth)
    return text if problems is None or problems in text else f"{text} {problems}"


def _problem(item: Any, depth: int) -> str | None:
    """One problem of a list: where it is, and what."""
    text = _words(item, depth)
    if text is None:
        return None
    fields = as_object(item)
    for name in _PLACES:
        place = fields.get(name)
        steps = cast("list[Any]", place) if isinstance(place, list) else [place]
        named = [str(step) for step in steps if isinstance(step, str | int) and step != "body"]
        if where := ".".join(named[:_MOST_ITEMS]):
            return f"{where}: {text}"
    return text


def _field_problems(errors: Any, depth: int) -> str | None:
    """Problems as a list, or by the name of the field they are about."""
    if not isinstance(errors, dict):
        return _words(errors, depth + 1)
    named = [
        (name, _words(problem, depth + 1))
        for name, problem in list(cast("dict[str, Any]", errors).items())[:_MOST_ITEMS]
    ]
    return "; ".join(f"{name}: {text}" for name, text in named if text) or None


def _upstream_words(error: dict[str, Any], message: str) -> str | None:
    """What the server behind a gateway said, where the gateway passes it on."""
    raw = as_object(error.get("metadata")).get("raw")
    document = parse_json(raw.encode("utf-8", "replace")) if isinstance(raw, str) else None
    text = read_error(document.value).message if document is not None else _words(raw)
    return None if text is None or text in message else text


def _as_it_is(value: dict[str, Any]) -> str | None:
    """An object of no known form, as JSON; None where it holds nothing but codes."""
    if not value.keys() - _WORDLESS:
        return None
    try:
        return encode_json(UnicodeCleaner().tree(value)).decode()
    except (ValueError, TypeError, RecursionError):
        return None


def _first_text(fields: dict[str, Any], *names: str) -> str | None:
    for name in names:
        value = fields.get(name)
        if isinstance(value, str) and value:
            return value
        number = as_count(value)
        if number is not None:
            return str(number)
    return None


def _code(fields: dict[str, Any], *names: str) -> str | None:
    """The first code; of a problem of no type only ``code``: its status is that of HTTP again."""
    return _first_text(fields, *(["code"] if fields.get("type") == _NO_TYPE else names))


def _codes(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: fields[name] for name in _CODES if name in fields}


def _all_codes(fields: dict[str, Any], depth: int = 0) -> Iterator[str]:
    """All codes of an envelope and of what is nested in it, the outermost last."""
    for name in ("error", "innererror", "inner_error", "message", "detail"):
        if depth < _DEEPEST and is_object(fields.get(name)):
            yield from _all_codes(as_object(fields[name]), depth + 1)
    for name in (*_CODES, "__type", "error_code", "err_code"):
        text = _first_text(fields, name)
        if text not in (None, _NO_TYPE):
            yield text.casefold()


def _is_failure(code: Any) -> bool:
    """Whether a code says that something failed: a status from 400 on, or a word."""
    number = as_count(code)
    if number is None and isinstance(code, str) and code.isascii() and code.isdigit():
        number = int(code) if len(code) < 10 else 400
    if number is not None:
        return number >= 400
    return isinstance(code, str) and code.casefold() not in _NO_ERROR_CODES


def _retry_info_s(value: Any, depth: int = 0) -> float | None:
    """The longest ``retryDelay`` of a ``google.rpc.RetryInfo`` anywhere in a value, in seconds."""
    if depth > 2 * _DEEPEST:
        return None
    if isinstance(value, str):  # a gateway passes the error on as a text
        if "retryDelay" not in value or len(value) > _LONGEST_BODY:
            return None
        document = parse_json(value.encode("utf-8", "replace"))
        return None if document is None else _retry_info_s(document.value, depth + 1)
    if isinstance(value, list):
        inside = [_retry_info_s(item, depth + 1) for item in cast("list[Any]", value)[:100]]
        return max((wait for wait in inside if wait is not None), default=None)
    fields = as_object(value)
    waits = [_retry_info_s(item, depth + 1) for item in list(fields.values())[:100]]
    if str(fields.get("@type", "")).endswith("google.rpc.RetryInfo"):
        waits.append(_duration_s(fields.get("retryDelay", fields.get("retry_delay"))))
    return max((wait for wait in waits if wait is not None), default=None)


def _duration_s(value: Any) -> float | None:
    """A protobuf duration in seconds: ``"3.5s"``, or seconds and nanoseconds."""
    if isinstance(value, str):
        match = _RETRY_DELAY.fullmatch(value.strip())
        seconds = float(match.group(1)) if match else 0.0
    else:
        fields = as_object(value)
        whole = as_count(fields.get("seconds"))
        if whole is None and isinstance(fields.get("seconds"), str):
            text = cast("str", fields["seconds"])
            whole = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
        seconds = (whole or 0) + (as_count(fields.get("nanos")) or 0) / 1e9
    return seconds if 0 < seconds <= _LONGEST_WAIT_S else None
