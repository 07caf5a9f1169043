"""Faults by name: what can go wrong, how a fault is written, and when chance brings one.

A fault is written ``name[=argument][;key=value…]``: ``status=503;retry-after=2``, ``stall=3``,
``gzip_bomb=64``. The same text serves the header ``x-emulator-fault``, the request field
``emulator_fault``, and the keys of the option ``faults``.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

import msgspec


class FaultStage(StrEnum):
    """When in the life of a request a fault takes effect."""

    BEFORE = "before"  # nothing is generated, nothing is billed
    DELIVERY = "delivery"  # generated and billed; the connection fails
    BODY = "body"  # generated and billed; other bytes are sent than the answer
    ANSWER = "answer"  # a well-formed answer that says something unusual
    STREAM = "stream"  # generated and billed; the event stream is unusual or broken


class FaultKind(NamedTuple):
    """One kind of fault."""

    stage: FaultStage
    meaning: str  # one line for people; "ARG" stands for the argument
    argument: float | str | None = None  # default; its type is the argument's type


FAULT_KINDS: dict[str, FaultKind] = {
    "status": FaultKind(FaultStage.BEFORE, "answer with status ARG (see the keys below)", 500.0),
    "redirect": FaultKind(
        FaultStage.BEFORE, "307 to the address ARG", "http://127.0.0.1:9/elsewhere"
    ),
    "reset": FaultKind(FaultStage.BEFORE, "reset the connection without serving"),
    "close": FaultKind(FaultStage.BEFORE, "close the connection in good order, without serving"),
    "hang": FaultKind(FaultStage.BEFORE, "say nothing for ARG seconds, then reset", 3600.0),
    "in_doubt": FaultKind(FaultStage.DELIVERY, "serve and bill, then reset before the first byte"),
    "reset_headers": FaultKind(FaultStage.DELIVERY, "reset after the headers"),
    "reset_body": FaultKind(FaultStage.DELIVERY, "reset in the middle of the body"),
    "cut": FaultKind(FaultStage.DELIVERY, "close in the middle of the body"),
    "stall": FaultKind(FaultStage.DELIVERY, "pause ARG seconds in the middle of the body", 3600.0),
    "delay": FaultKind(FaultStage.DELIVERY, "pause ARG seconds before the first byte", 1.0),
    "drip": FaultKind(FaultStage.DELIVERY, "one byte every ARG seconds", 1.0),
    "split": FaultKind(
        FaultStage.DELIVERY, "the body in pieces of ARG bytes, each written apart", 1.0
    ),
    "html": FaultKind(FaultStage.BODY, "a page of HTML with status 200"),
    "empty_body": FaultKind(FaultStage.BODY, "no body at all"),
    "truncated_json": FaultKind(
        FaultStage.BODY, "the first half of the answer, as if it were whole"
    ),
    "wrong_types": FaultKind(FaultStage.BODY, "an answer whose fields are of other types"),
    "nan": FaultKind(FaultStage.BODY, "NaN and Infinity where numbers belong"),
    "negative_usage": FaultKind(FaultStage.BODY, "token counts below zero"),
    "huge_numbers": FaultKind(FaultStage.BODY, "token counts of 400 digits"),
    "missing_usage": FaultKind(FaultStage.BODY, "an answer without usage"),
    "null_usage": FaultKind(FaultStage.BODY, "an answer whose usage is null"),
    "no_choices": FaultKind(FaultStage.BODY, "an answer with an empty list of choices"),
    "missing_choices": FaultKind(FaultStage.BODY, "an answer without choices"),
    "extra_choices": FaultKind(FaultStage.BODY, "two choices more than were asked for"),
    "null_content": FaultKind(FaultStage.BODY, "a message whose content is null"),
    "invalid_utf8": FaultKind(FaultStage.BODY, "bytes in the text that are no UTF-8"),
    "lone_surrogates": FaultKind(FaultStage.BODY, "half of a surrogate pair in the text"),
    "deep_nesting": FaultKind(FaultStage.BODY, "an answer nested ARG deep", 100_000.0),
    "big_body": FaultKind(FaultStage.BODY, "an answer of ARG MiB", 64.0),
    "gzip_bomb": FaultKind(
        FaultStage.BODY, "an answer of ARG MiB, compressed about a thousandfold", 64.0
    ),
    "json_array": FaultKind(FaultStage.BODY, "a list where an object belongs"),
    "error_object": FaultKind(FaultStage.BODY, "an error object with status 200"),
    "empty_text": FaultKind(FaultStage.ANSWER, "an answer with no text"),
    "refusal": FaultKind(FaultStage.ANSWER, "a refusal, in the protocol's own form"),
    "content_filter": FaultKind(FaultStage.ANSWER, "half the text, stopped by a content filter"),
    "stream_error": FaultKind(FaultStage.STREAM, "an error object in the middle of the stream"),
    "stream_failed": FaultKind(
        FaultStage.STREAM, "the answer failed: response.failed, elsewhere as stream_error"
    ),
    "cut_utf8": FaultKind(FaultStage.STREAM, "closed in the middle of a character"),
    "no_finish": FaultKind(FaultStage.STREAM, "ended in good order without saying how"),
    "no_done": FaultKind(FaultStage.STREAM, "ended without [DONE] or message_stop"),
    "sse_cr": FaultKind(FaultStage.STREAM, "lines that end in CR"),
    "sse_crlf": FaultKind(FaultStage.STREAM, "lines that end in CR LF"),
    "sse_bom": FaultKind(FaultStage.STREAM, "a byte order mark first"),
    "sse_comments": FaultKind(FaultStage.STREAM, "comments between the events"),
    "sse_multiline": FaultKind(FaultStage.STREAM, "each event's data on several lines"),
}
STATUS_KEYS = ("retry-after", "retry-after-date", "retry-after-ms", "code", "message")


class FaultError(ValueError):
    """A fault that is not written as it should be; the message says what is."""


class Fault(msgspec.Struct, frozen=True):
    """One fault, parsed. ``number`` and ``text`` are its argument, by kind."""

    name: str
    spec: str
    number: float = 0.0
    text: str = ""
    keys: dict[str, str] = {}

    @property
    def stage(self) -> FaultStage:
        """When it takes effect."""
        return FAULT_KINDS[self.name].stage


def parse_fault(spec: str) -> Fault:
    """Read a fault.

    Raises:
        FaultError: an unknown name or key, or an argument of the wrong type.
    """
    if not spec.isprintable():
        raise FaultError(f"a fault is printable text, got {spec!r}")
    head, *rest = (part.strip() for part in spec.split(";"))
    name, separator, argument = head.partition("=")
    kind = FAULT_KINDS.get(name)
    if kind is None:
        raise FaultError(f"unknown fault {name!r}; known are {', '.join(sorted(FAULT_KINDS))}")
    keys: dict[str, str] = {}
    for part in rest:
        key, equals, value = part.partition("=")
        if name != "status" or not equals or key not in STATUS_KEYS:
            raise FaultError(f"fault {name!r} has no key {key!r}; status has {STATUS_KEYS}")
        if key == "retry-after-date":
            _number(name, value, status=False)
        keys[key] = value
    if not separator:
        default = kind.argument
        return (
            Fault(name, spec, text=default, keys=keys)
            if isinstance(default, str)
            else Fault(name, spec, number=default or 0.0, keys=keys)
        )
    if kind.argument is None:
        raise FaultError(f"fault {name!r} takes no argument, got {argument!r}")
    if isinstance(kind.argument, str):
        return Fault(name, spec, text=argument, keys=keys)
    return Fault(name, spec, number=_number(name, argument), keys=keys)


def _number(name: str, argument: str, *, status: bool = True) -> float:
    try:
        number = float(argument)
    except ValueError:
        raise FaultError(f"fault {name!r} takes a number, got {argument!r}") from None
    if not 0 <= number <= 1e9:
        raise FaultError(f"fault {name!r}: {argument} is not between 0 and 1e9")
    if name == "status" and status and not (number.is_integer() and 200 <= number <= 599):
        raise FaultError(f"fault 'status': {argument} is no HTTP status")
    return number


class FaultPlan:
    """Faults by chance: one draw a request from a generator of their own."""

    def __init__(self, rates: Mapping[str, float], seed: int) -> None:
        self._faults = [(parse_fault(spec), rate) for spec, rate in rates.items()]
        self._random = random.Random(f"evalharness emulator faults {seed}")

    def draw(self, *, streamed: bool) -> Fault | None:
        """The fault of this request, or None.

        Each fault is drawn by its own rate; where several are drawn, the first listed counts. A
        fault of event streams does nothing to an answer in one piece.
        """
        drawn: Fault | None = None
        for fault, rate in self._faults:
            # Every rate takes one random number, so that no fault's rate changes another's draws.
            if self._random.random() < rate and drawn is None:
                drawn = None if fault.stage is FaultStage.STREAM and not streamed else fault
        return drawn
