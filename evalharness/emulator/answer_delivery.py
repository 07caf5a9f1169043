"""An answer on its way: when each part is due, and what a fault does to it."""

from __future__ import annotations

import asyncio

import msgspec

from evalharness.emulator.delivery.framing import CUT_CHARACTER, Framing, StreamEvent, cut_frame
from evalharness.emulator.delivery.hostile_bodies import hostile_body
from evalharness.emulator.delivery.response_writer import ResponseWriter
from evalharness.emulator.delivery.timing import ResponseTiming
from evalharness.emulator.dialects.dialect import AnswerStream, Dialect, EmulatedAnswer
from evalharness.emulator.faults import Fault, FaultStage
from evalharness.emulator.ledger import LedgerEntry
from evalharness.emulator.validation.error_bodies import Headers

_JSON: Headers = [(b"content-type", b"application/json")]
_SSE: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
]


class AnswerDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """Delivers one answer in the form of its protocol.

    Attributes:
        headers: of every response to this request.
        fault: what goes wrong; None: nothing.
    """

    dialect: Dialect
    timing: ResponseTiming
    entry: LedgerEntry
    writer: ResponseWriter
    headers: Headers
    fault: Fault | None

    async def deliver(self, answer: EmulatedAnswer) -> None:
        """Send the answer as it was asked for; a body that a fault replaces is never a stream."""
        fault = self.fault
        if answer.request.stream and (fault is None or fault.stage is not FaultStage.BODY):
            await self._send_stream(answer)
        else:
            await self._send_object(answer)

    async def _send_object(self, answer: EmulatedAnswer) -> None:
        fault, writer = self.fault, self.writer
        longest = max(choice.completion_tokens for choice in answer.choices)
        due = self.timing.total(longest)
        if due:
            await writer.wait_until(asyncio.get_running_loop().time() + due)
        if fault is not None and fault.name == "in_doubt":
            await writer.reset()
            return
        self._record_delivery()
        content = self.dialect.object_body(answer)
        headers = list(self.headers)
        if answer.shows_bill:
            headers.append((b"x-aimlapi-credits-used", str(answer.bill.credits).encode()))
            headers.append((b"x-aimlapi-usd-spent", answer.bill.usd_text().encode()))
        if fault is None or fault.stage is not FaultStage.BODY:
            await writer.send_body([*headers, *_JSON], msgspec.json.encode(content), fault)
            return
        replacement = hostile_body(fault, content, self.dialect.shape)
        headers.append((b"content-type", replacement.content_type))
        if replacement.encoding is not None:
            headers.append((b"content-encoding", replacement.encoding))
        if isinstance(replacement.body, bytes):
            await writer.send_body(headers, replacement.body, None)
        else:
            await writer.send_endless(headers, replacement.body)

    async def _send_stream(self, answer: EmulatedAnswer) -> None:
        fault, writer = self.fault, self.writer
        began = asyncio.get_running_loop().time()
        stream, framing = self.dialect.stream(answer), Framing(fault)
        opening, steps = stream.opening(), stream.steps()
        moments = self.timing.due(max(1, len(steps)))
        breaks_off = fault is not None and fault.name in _BREAK_OFF
        if breaks_off:
            steps = steps[: (len(steps) + 1) // 2]
        pieces = [(0.0, framing.frame(event)) for event in opening]
        for due, step in zip(moments, steps, strict=False):
            pieces += [(due, framing.frame(event)) for event in step]
        if fault is not None and breaks_off:
            last = _last_bytes(fault, stream, len(opening) + sum(map(len, steps)))
            pieces.append((moments[-1], last))
        else:
            pieces += [(moments[-1], frame) for frame in _closing_frames(fault, stream, framing)]
        if fault is not None and fault.name == "in_doubt":
            await writer.wait_until(began + moments[-1])
            await writer.reset()
            return
        self._record_delivery()
        await writer.send_stream([*self.headers, *_SSE], pieces, began, fault)

    def _record_delivery(self) -> None:
        self.entry.status = 200
        self.entry.delivered = self.fault is None or not _prevents_delivery(self.fault)


_BREAK_OFF = ("stream_error", "stream_failed", "cut_utf8")


def _last_bytes(fault: Fault, stream: AnswerStream, sent: int) -> bytes:
    """The end of a stream that breaks off after so many events."""
    if fault.name == "cut_utf8":
        return cut_frame(stream.text(CUT_CHARACTER))
    event = stream.error(sent) if fault.name == "stream_error" else stream.failure(sent)
    return Framing(None).frame(event)


def _closing_frames(fault: Fault | None, stream: AnswerStream, framing: Framing) -> list[bytes]:
    """The last frames of a stream, changed by a fault."""
    name = "" if fault is None else fault.name
    if name == "no_finish":
        return []
    frames = [framing.frame(event) for event in stream.closing()]
    done: list[StreamEvent] = [] if name == "no_done" else stream.done()
    return [*frames, *(framing.last_frame(event) for event in done)]


def _prevents_delivery(fault: Fault) -> bool:
    """Whether a fault keeps the answer from arriving whole."""
    harmless = {"delay", "drip", "split", "no_done"}
    return not (
        fault.stage is FaultStage.ANSWER or fault.name in harmless or fault.name.startswith("sse_")
    )
