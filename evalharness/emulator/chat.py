"""``POST /v1/chat/completions``: from the bytes of a request to an answer, a refusal or a fault."""

from __future__ import annotations

import asyncio
import random
import re
import time

import msgspec
from starlette.types import Receive, Scope, Send

from evalharness.emulator.billing import Biller
from evalharness.emulator.completion import ChatChoice, ChoiceGenerator
from evalharness.emulator.delivery import response_body
from evalharness.emulator.delivery.connection import Connections
from evalharness.emulator.delivery.framing import Framing, break_off_at_fault, closing_frames
from evalharness.emulator.delivery.hostile_bodies import hostile_body
from evalharness.emulator.delivery.response_writer import ResponseWriter
from evalharness.emulator.delivery.timing import ResponseTiming
from evalharness.emulator.faults import Fault, FaultPlan, FaultStage
from evalharness.emulator.ledger import Ledger, LedgerEntry
from evalharness.emulator.limiter import SlidingWindowLimiter
from evalharness.emulator.options import EmulatorOptions
from evalharness.emulator.request_intake import (
    RequestRefusedError,
    RequestValidator,
    is_authorised,
    rate_limit_problem,
    read_body,
    requested_fault,
)
from evalharness.emulator.text.known_answers import KnownAnswers
from evalharness.emulator.validation.error_bodies import (
    Headers,
    Problem,
    error_response,
    status_problem,
)
from evalharness.emulator.validation.parsed_request import ParsedRequest, parse_request

PATH = "/v1/chat/completions"
_CLIENT_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_JSON: Headers = [(b"content-type", b"application/json")]
_SSE: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
]


class ChatEndpoint:
    """The endpoint, as an ASGI application."""

    def __init__(self, options: EmulatorOptions, ledger: Ledger, connections: Connections) -> None:
        self._options = options
        self._ledger = ledger
        self._connections = connections
        self._validator = RequestValidator(options)
        self._generator = ChoiceGenerator(options, KnownAnswers.read(options.answers))
        self._biller = Biller(options)
        self._limiter = SlidingWindowLimiter(
            options.rpm,
            options.tpm,
            options.limit_window_s,
            per_second_caps=options.per_second_caps,
        )
        self._faults = FaultPlan(options.fault_rates(), options.seed)
        self._timing = ResponseTiming(options)
        self._workers = None if options.workers is None else asyncio.Semaphore(options.workers)
        self._ids = random.Random(f"evalharness emulator ids {options.seed}")
        self._answered = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        body = await read_body(receive)
        if body is None:
            return  # the client left before its request was complete
        headers: dict[bytes, bytes] = dict(scope["headers"])
        client_id = headers.get(b"x-client-request-id", b"").decode("latin-1")
        accepted_id = client_id if _CLIENT_ID.fullmatch(client_id) else None
        entry = self._ledger.record_arrival(body, accepted_id)
        entry.inference_id = self._new_id()

        def close_entry() -> None:
            if not entry.finished:
                self._ledger.record_finish(entry)

        writer = ResponseWriter(scope, receive, send, self._connections, close_entry)
        try:
            await self._serve(headers, body, entry, writer)
        except RequestRefusedError as refused:
            await self._refuse(refused.problem, entry, writer)
        finally:
            close_entry()

    async def _serve(
        self, headers: dict[bytes, bytes], raw: bytes, entry: LedgerEntry, writer: ResponseWriter
    ) -> None:
        if not is_authorised(headers, self._options.require_key):
            raise RequestRefusedError(Problem(status=401, code="invalid_api_key"))
        body = self._validator.valid_body(raw)
        request = parse_request(body, self._options.max_choices)
        entry.model, entry.stream = request.model, request.stream
        random_fault = self._faults.draw(streamed=request.stream)
        fault = requested_fault(headers, body, stream=request.stream) or random_fault
        entry.fault = None if fault is None else fault.spec
        if fault is not None and fault.stage is FaultStage.BEFORE:
            await self._apply_early_fault(fault, entry, writer)
            return
        fingerprint = self._fingerprint()
        choices = self._generator.choices(request, fingerprint)
        self._admit(request, choices)
        if fault is not None and fault.stage is FaultStage.ANSWER:
            choices = [_alter_choice(choice, fault.name) for choice in choices]
        if self._workers is None:
            await self._answer(request, choices, fingerprint, fault, entry, writer)
        else:
            async with self._workers:
                await self._answer(request, choices, fingerprint, fault, entry, writer)

    def _new_id(self) -> str:
        """A random id, written as a UUID of version 4 (RFC 9562)."""
        digits = f"{self._ids.getrandbits(122):032x}"
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"

    def _fingerprint(self) -> str | None:
        fingerprints = self._options.fingerprints
        turn = self._answered // self._options.fingerprint_every
        self._answered += 1
        return fingerprints[turn % len(fingerprints)]

    def _admit(self, request: ParsedRequest, choices: list[ChatChoice]) -> None:
        if not self._limiter.active:
            return
        tokens = request.prompt_tokens + sum(choice.completion_tokens for choice in choices)
        refusal = self._limiter.admit(time.monotonic(), tokens)
        if refusal is not None:
            raise RequestRefusedError(rate_limit_problem(refusal, self._options))

    async def _apply_early_fault(
        self, fault: Fault, entry: LedgerEntry, writer: ResponseWriter
    ) -> None:
        """Carry out a fault that comes before anything is generated."""
        if fault.name == "status":
            raise RequestRefusedError(status_problem(fault))
        if fault.name == "redirect":
            location = (b"location", fault.text.encode("latin-1", "replace"))
            raise RequestRefusedError(Problem(status=307, headers=[location]))
        if fault.name == "close":
            await writer.close()
            return
        if fault.name == "hang":
            await writer.pause(fault.number)
        await writer.reset()

    async def _answer(
        self,
        request: ParsedRequest,
        choices: list[ChatChoice],
        fingerprint: str | None,
        fault: Fault | None,
        entry: LedgerEntry,
        writer: ResponseWriter,
    ) -> None:
        """Generate, bill and deliver; a worker is busy for all of it."""
        tokens = self._biller.count_tokens(request, choices)
        answer = response_body.ChatAnswer(
            request=request,
            choices=choices,
            tokens=tokens,
            bill=self._biller.bill(tokens),
            response_id=f"chatcmpl-{self._new_id()}",
            created=int(time.time()),
            fingerprint=fingerprint,
            profile=self._options.profile,
        )
        _record_charge(entry, answer)
        self._ledger.start_generating()
        try:
            if request.stream and (fault is None or fault.stage is not FaultStage.BODY):
                await self._send_stream(answer, fault, entry, writer)
            else:
                await self._send_object(answer, fault, entry, writer)
        finally:
            self._ledger.generating -= 1

    async def _send_object(
        self,
        answer: response_body.ChatAnswer,
        fault: Fault | None,
        entry: LedgerEntry,
        writer: ResponseWriter,
    ) -> None:
        longest = max(choice.completion_tokens for choice in answer.choices)
        due = self._timing.total(longest)
        if due:
            await writer.wait_until(asyncio.get_running_loop().time() + due)
        if fault is not None and fault.name == "in_doubt":
            await writer.reset()
            return
        entry.status, entry.delivered = 200, fault is None or not _prevents_delivery(fault)
        content = response_body.completion_object(answer)
        headers = self._headers(entry)
        if answer.shows_bill:
            headers.append((b"x-aimlapi-credits-used", str(answer.bill.credits).encode()))
            headers.append((b"x-aimlapi-usd-spent", answer.bill.usd_text().encode()))
        if fault is None or fault.stage is not FaultStage.BODY:
            await writer.send_body([*headers, *_JSON], msgspec.json.encode(content), fault)
            return
        replacement = hostile_body(fault, content)
        headers.append((b"content-type", replacement.content_type))
        if replacement.encoding is not None:
            headers.append((b"content-encoding", replacement.encoding))
        if isinstance(replacement.body, bytes):
            await writer.send_body(headers, replacement.body, None)
        else:
            await writer.send_endless(headers, replacement.body)

    async def _send_stream(
        self,
        answer: response_body.ChatAnswer,
        fault: Fault | None,
        entry: LedgerEntry,
        writer: ResponseWriter,
    ) -> None:
        began = asyncio.get_running_loop().time()
        events, framing = response_body.StreamEvents(answer), Framing(fault)
        steps, break_off = break_off_at_fault(fault, events.steps())
        moments = self._timing.due(max(1, len(steps)))
        pieces = [(0.0, framing.frame(event)) for event in events.opening()]
        for due, step in zip(moments, steps, strict=False):
            pieces += [(due, framing.frame(event)) for event in step]
        if break_off is not None:
            pieces.append((moments[-1], break_off))
        else:
            pieces += [
                (moments[-1], frame) for frame in closing_frames(fault, events.closing(), framing)
            ]
        if fault is not None and fault.name == "in_doubt":
            await writer.wait_until(began + moments[-1])
            await writer.reset()
            return
        entry.status, entry.delivered = 200, fault is None or not _prevents_delivery(fault)
        await writer.send_stream([*self._headers(entry), *_SSE], pieces, began, fault)

    async def _refuse(self, problem: Problem, entry: LedgerEntry, writer: ResponseWriter) -> None:
        entry.status = problem.status
        headers, body = error_response(problem, self._options, PATH, f"req-{entry.arrival:012d}")
        await writer.send(problem.status, [*headers, *self._headers(entry)], body)

    def _headers(self, entry: LedgerEntry) -> Headers:
        headers: Headers = []
        if entry.inference_id is not None:
            headers.append((b"x-inference-id", entry.inference_id.encode()))
        if entry.client_request_id is not None:
            headers.append((b"x-client-request-id", entry.client_request_id.encode()))
        return headers


def _record_charge(entry: LedgerEntry, answer: response_body.ChatAnswer) -> None:
    entry.billed = True
    entry.billed_usd, entry.billed_credits = answer.bill.usd, answer.bill.credits
    entry.prompt_tokens, entry.cached_tokens = answer.tokens.prompt, answer.tokens.cached
    entry.completion_tokens = answer.tokens.completion


def _alter_choice(choice: ChatChoice, name: str) -> ChatChoice:
    """The choice as empty text, as a refusal, or cut by a content filter."""
    length = len(choice.pieces) // 2 if name == "content_filter" else 0
    logprobs = None if choice.logprobs is None else choice.logprobs[:length]
    return msgspec.structs.replace(
        choice,
        pieces=choice.pieces[:length],
        logprobs=logprobs,
        tool_calls=[],
        refusal="I cannot help with that." if name == "refusal" else None,
        finish_reason="content_filter" if name == "content_filter" else "stop",
    )


def _prevents_delivery(fault: Fault) -> bool:
    """Whether a fault keeps the answer from arriving whole."""
    harmless = {"delay", "drip", "split", "no_done"}
    return not (
        fault.stage is FaultStage.ANSWER or fault.name in harmless or fault.name.startswith("sse_")
    )
