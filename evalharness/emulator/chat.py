"""``POST /v1/chat/completions``: from the bytes of a request to an answer, a refusal or a fault."""

from __future__ import annotations

import asyncio
import random
import re
import time

import msgspec
from starlette.types import Receive, Scope, Send

from evalharness.emulator.billing import Till
from evalharness.emulator.completion import Choice, Generator
from evalharness.emulator.delivery import response_body
from evalharness.emulator.delivery.connection import Connections
from evalharness.emulator.delivery.delivery import Delivery
from evalharness.emulator.delivery.faults import Fault, FaultPlan, Stage
from evalharness.emulator.delivery.framing import Framing, broken, ending
from evalharness.emulator.delivery.hostile_bodies import hostile
from evalharness.emulator.delivery.timing import Pace
from evalharness.emulator.ledger import Entry, Ledger
from evalharness.emulator.limiter import Limiter
from evalharness.emulator.options import EmulatorOptions
from evalharness.emulator.request_intake import (
    RefusedError,
    Validator,
    authorised,
    fault_asked,
    rate_limited,
    whole_body,
)
from evalharness.emulator.text.answers import Answers
from evalharness.emulator.validation.error_bodies import Headers, Problem, envelope, status_problem
from evalharness.emulator.validation.parsed_request import Ask, read

PATH = "/v1/chat/completions"
_CLIENT_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_JSON: Headers = [(b"content-type", b"application/json")]
_SSE: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
]


class Chat:
    """The endpoint, as an ASGI application."""

    def __init__(self, options: EmulatorOptions, ledger: Ledger, connections: Connections) -> None:
        self._options = options
        self._ledger = ledger
        self._connections = connections
        self._validator = Validator(options)
        self._generator = Generator(options, Answers.load(options.answers))
        self._till = Till(options)
        self._limiter = Limiter(
            options.rpm,
            options.tpm,
            options.limit_window_s,
            per_second_caps=options.per_second_caps,
        )
        self._faults = FaultPlan(options.fault_rates(), options.seed)
        self._pace = Pace(options)
        self._workers = None if options.workers is None else asyncio.Semaphore(options.workers)
        self._ids = random.Random(f"evalharness emulator ids {options.seed}")
        self._answered = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        body = await whole_body(receive)
        if body is None:
            return  # the client left before it had asked
        headers: dict[bytes, bytes] = dict(scope["headers"])
        client_id = headers.get(b"x-client-request-id", b"").decode("latin-1")
        known = client_id if _CLIENT_ID.fullmatch(client_id) else None
        entry = self._ledger.received(body, known)
        entry.inference_id = self._new_id()

        def settle() -> None:
            if not entry.finished:
                self._ledger.finished(entry)

        delivery = Delivery(scope, receive, send, self._connections, settle)
        try:
            await self._serve(headers, body, entry, delivery)
        except RefusedError as refused:
            await self._refuse(refused.problem, entry, delivery)
        finally:
            settle()

    async def _serve(
        self, headers: dict[bytes, bytes], raw: bytes, entry: Entry, delivery: Delivery
    ) -> None:
        if not authorised(headers, self._options.require_key):
            raise RefusedError(Problem(status=401, code="invalid_api_key"))
        body = self._validator.body(raw)
        ask = read(body, self._options.max_choices)
        entry.model, entry.stream = ask.model, ask.stream
        drawn = self._faults.draw(streamed=ask.stream)
        fault = fault_asked(headers, body, stream=ask.stream) or drawn
        entry.fault = None if fault is None else fault.written
        if fault is not None and fault.stage is Stage.BEFORE:
            await self._strike_before(fault, entry, delivery)
            return
        fingerprint = self._fingerprint()
        choices = self._generator.choices(ask, fingerprint)
        self._admit(ask, choices)
        if fault is not None and fault.stage is Stage.ANSWER:
            choices = [_unusual(choice, fault.name) for choice in choices]
        if self._workers is None:
            await self._answer(ask, choices, fingerprint, fault, entry, delivery)
        else:
            async with self._workers:
                await self._answer(ask, choices, fingerprint, fault, entry, delivery)

    def _new_id(self) -> str:
        """A random id, written as a UUID of version 4 (RFC 9562)."""
        digits = f"{self._ids.getrandbits(122):032x}"
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"

    def _fingerprint(self) -> str | None:
        listed = self._options.fingerprints
        turn = self._answered // self._options.fingerprint_every
        self._answered += 1
        return listed[turn % len(listed)]

    def _admit(self, ask: Ask, choices: list[Choice]) -> None:
        if not self._limiter.active:
            return
        tokens = ask.prompt_tokens + sum(choice.completion_tokens for choice in choices)
        refusal = self._limiter.admit(time.monotonic(), tokens)
        if refusal is not None:
            raise RefusedError(rate_limited(refusal, self._options))

    async def _strike_before(self, fault: Fault, entry: Entry, delivery: Delivery) -> None:
        """The faults of requests that are never served."""
        if fault.name == "status":
            raise RefusedError(status_problem(fault))
        if fault.name == "redirect":
            to = (b"location", fault.text.encode("latin-1", "replace"))
            raise RefusedError(Problem(status=307, headers=[to]))
        if fault.name == "close":
            await delivery.close()
            return
        if fault.name == "hang":
            await delivery.pause(fault.number)
        await delivery.reset()

    async def _answer(
        self,
        ask: Ask,
        choices: list[Choice],
        fingerprint: str | None,
        fault: Fault | None,
        entry: Entry,
        delivery: Delivery,
    ) -> None:
        """Generate, bill and deliver; a worker is busy for all of it."""
        used = self._till.used(ask, choices)
        answer = response_body.Answer(
            ask=ask,
            choices=choices,
            used=used,
            bill=self._till.bill(used),
            response_id=f"chatcmpl-{self._new_id()}",
            created=int(time.time()),
            fingerprint=fingerprint,
            profile=self._options.profile,
        )
        _charge(entry, answer)
        self._ledger.generation_began()
        try:
            if ask.stream and (fault is None or fault.stage is not Stage.BODY):
                await self._stream(answer, fault, entry, delivery)
            else:
                await self._whole(answer, fault, entry, delivery)
        finally:
            self._ledger.generating -= 1

    async def _whole(
        self, answer: response_body.Answer, fault: Fault | None, entry: Entry, delivery: Delivery
    ) -> None:
        longest = max(choice.completion_tokens for choice in answer.choices)
        due = self._pace.total(longest)
        if due:
            await delivery.until(asyncio.get_running_loop().time() + due)
        if fault is not None and fault.name == "in_doubt":
            await delivery.reset()
            return
        entry.status, entry.delivered = 200, fault is None or not _breaks(fault)
        content = response_body.whole(answer)
        headers = self._headers(entry)
        if answer.billed_openly:
            headers.append((b"x-aimlapi-credits-used", str(answer.bill.credits).encode()))
            headers.append((b"x-aimlapi-usd-spent", answer.bill.usd_text().encode()))
        if fault is None or fault.stage is not Stage.BODY:
            await delivery.whole([*headers, *_JSON], msgspec.json.encode(content), fault)
            return
        other = hostile(fault, content)
        headers.append((b"content-type", other.content_type))
        if other.encoding is not None:
            headers.append((b"content-encoding", other.encoding))
        if isinstance(other.body, bytes):
            await delivery.whole(headers, other.body, None)
        else:
            await delivery.endless(headers, other.body)

    async def _stream(
        self, answer: response_body.Answer, fault: Fault | None, entry: Entry, delivery: Delivery
    ) -> None:
        began = asyncio.get_running_loop().time()
        stream, framing = response_body.Stream(answer), Framing(fault)
        steps, break_off = broken(fault, stream.steps())
        moments = self._pace.due(max(1, len(steps)))
        pieces = [(0.0, framing.frame(event)) for event in stream.opening()]
        for due, step in zip(moments, steps, strict=False):
            pieces += [(due, framing.frame(event)) for event in step]
        if break_off is not None:
            pieces.append((moments[-1], break_off))
        else:
            pieces += [(moments[-1], frame) for frame in ending(fault, stream.closing(), framing)]
        if fault is not None and fault.name == "in_doubt":
            await delivery.until(began + moments[-1])
            await delivery.reset()
            return
        entry.status, entry.delivered = 200, fault is None or not _breaks(fault)
        await delivery.stream([*self._headers(entry), *_SSE], pieces, began, fault)

    async def _refuse(self, problem: Problem, entry: Entry, delivery: Delivery) -> None:
        entry.status = problem.status
        headers, body = envelope(problem, self._options, PATH, f"req-{entry.arrival:012d}")
        await delivery.simple(problem.status, [*headers, *self._headers(entry)], body)

    def _headers(self, entry: Entry) -> Headers:
        headers: Headers = []
        if entry.inference_id is not None:
            headers.append((b"x-inference-id", entry.inference_id.encode()))
        if entry.client_request_id is not None:
            headers.append((b"x-client-request-id", entry.client_request_id.encode()))
        return headers


def _charge(entry: Entry, answer: response_body.Answer) -> None:
    entry.billed = True
    entry.billed_usd, entry.billed_credits = answer.bill.usd, answer.bill.credits
    entry.prompt_tokens, entry.cached_tokens = answer.used.prompt, answer.used.cached
    entry.completion_tokens = answer.used.completion


def _unusual(choice: Choice, name: str) -> Choice:
    """A choice that says nothing, refuses, or is filtered."""
    kept = len(choice.pieces) // 2 if name == "content_filter" else 0
    logprobs = None if choice.logprobs is None else choice.logprobs[:kept]
    return msgspec.structs.replace(
        choice,
        pieces=choice.pieces[:kept],
        logprobs=logprobs,
        tool_calls=[],
        refusal="I cannot help with that." if name == "refusal" else None,
        finish_reason="content_filter" if name == "content_filter" else "stop",
    )


def _breaks(fault: Fault) -> bool:
    """Whether a fault keeps the answer from arriving whole."""
    kept = {"delay", "drip", "split", "no_done"}
    return not (fault.stage is Stage.ANSWER or fault.name in kept or fault.name.startswith("sse_"))
