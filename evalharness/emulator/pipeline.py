"""One request, from its bytes to an answer, a refusal or a fault: the same for every protocol."""

from __future__ import annotations

import asyncio
import random
import re
import time
from typing import Any

import msgspec
from starlette.types import Receive, Scope, Send

from evalharness.emulator.answer_delivery import AnswerDelivery
from evalharness.emulator.batch_context import current_batch_request
from evalharness.emulator.billing import Biller
from evalharness.emulator.completion import ChatChoice, ChoiceGenerator
from evalharness.emulator.delivery.connection import Connections
from evalharness.emulator.delivery.response_writer import ResponseWriter
from evalharness.emulator.delivery.timing import ResponseTiming
from evalharness.emulator.dialects.dialect import Dialect, EmulatedAnswer
from evalharness.emulator.faults import Fault, FaultPlan, FaultStage
from evalharness.emulator.ledger import Ledger, LedgerEntry
from evalharness.emulator.limiter import SlidingWindowLimiter
from evalharness.emulator.options import EmulatorOptions
from evalharness.emulator.request_intake import (
    RequestRefusedError,
    is_authorised,
    rate_limit_problem,
    read_body,
    requested_fault,
)
from evalharness.emulator.text.known_answers import KnownAnswers
from evalharness.emulator.validation.error_bodies import Headers, Problem, status_problem
from evalharness.emulator.validation.parsed_request import ParsedRequest

_CLIENT_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


class AnswerPipeline:
    """What all endpoints share: limits, workers, texts, the cache, bills and faults."""

    def __init__(self, options: EmulatorOptions, ledger: Ledger, connections: Connections) -> None:
        self._options = options
        self._ledger = ledger
        self._connections = connections
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

    async def serve(self, dialect: Dialect, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request in a protocol."""
        body = await read_body(receive)
        if body is None:
            return  # the client left before its request was complete
        headers: dict[bytes, bytes] = dict(scope["headers"])
        client_id = headers.get(b"x-client-request-id", b"").decode("latin-1")
        accepted_id = client_id if _CLIENT_ID.fullmatch(client_id) else None
        entry = self._ledger.record_arrival(body, accepted_id, dialect.name)
        entry.inference_id = self._new_id()

        def close_entry() -> None:
            if not entry.finished:
                self._ledger.record_finish(entry)

        writer = ResponseWriter(scope, receive, send, self._connections, close_entry)
        try:
            await self._serve(dialect, headers, body, entry, writer)
        except RequestRefusedError as refused:
            await self._refuse(dialect, refused.problem, entry, writer)
        finally:
            close_entry()

    async def _serve(
        self,
        dialect: Dialect,
        headers: dict[bytes, bytes],
        raw: bytes,
        entry: LedgerEntry,
        writer: ResponseWriter,
    ) -> None:
        if not is_authorised(headers, self._options.require_key, in_own=dialect.takes_key_header):
            raise RequestRefusedError(Problem(status=401, code="invalid_api_key"))
        body = self._with_dials(dialect.read(raw, headers))
        request = dialect.parse(body)
        entry.model, entry.stream = request.model, request.stream
        random_fault = self._faults.draw(streamed=request.stream)
        fault = requested_fault(headers, body, stream=request.stream) or random_fault
        entry.fault = None if fault is None else fault.spec
        if fault is not None and fault.stage is FaultStage.BEFORE:
            await self._apply_early_fault(fault, writer)
            return
        fingerprint = self._fingerprint()
        choices = self._generator.choices(request, fingerprint, self._ledger.in_flight - 1)
        self._admit(request, choices)
        if fault is not None and fault.stage is FaultStage.ANSWER:
            choices = [_alter_choice(choice, fault.name) for choice in choices]
        delivery = AnswerDelivery(
            dialect=dialect,
            timing=self._timing,
            entry=entry,
            writer=writer,
            headers=self._headers(dialect, entry),
            fault=fault,
        )
        if self._workers is None:
            await self._answer(request, body, choices, fingerprint, delivery)
        else:
            async with self._workers:
                await self._answer(request, body, choices, fingerprint, delivery)

    def _with_dials(self, body: dict[str, Any]) -> dict[str, Any]:
        """A valid body without the fields that are ignored.

        Raises:
            RequestRefusedError: it has a field that is refused.
        """
        for name in self._options.refuses:
            if name in body:
                message = f"Unsupported parameter: '{name}' is not supported with this model."
                problem = Problem(status=400, code="unsupported_parameter", message=message)
                raise RequestRefusedError(problem)
        return {name: value for name, value in body.items() if name not in self._options.ignores}

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
        if not self._limiter.active or current_batch_request() is not None:
            return  # batches have limits of their own
        tokens = request.prompt_tokens + sum(choice.completion_tokens for choice in choices)
        refusal = self._limiter.admit(time.monotonic(), tokens)
        if refusal is not None:
            raise RequestRefusedError(rate_limit_problem(refusal, self._options))

    async def _apply_early_fault(self, fault: Fault, writer: ResponseWriter) -> None:
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
        body: dict[str, Any],
        choices: list[ChatChoice],
        fingerprint: str | None,
        delivery: AnswerDelivery,
    ) -> None:
        """Generate, bill and deliver; a worker is busy for all of it."""
        tokens = self._biller.count_tokens(request, choices)
        answer = EmulatedAnswer(
            request=request,
            body=body,
            choices=choices,
            tokens=tokens,
            bill=self._biller.bill(tokens),
            key=self._new_id().replace("-", ""),
            created=int(time.time()),
            fingerprint=fingerprint,
            profile=self._options.profile,
        )
        _record_charge(delivery.entry, answer)
        self._ledger.start_generating()
        try:
            await delivery.deliver(answer)
        finally:
            self._ledger.generating -= 1

    async def _refuse(
        self, dialect: Dialect, problem: Problem, entry: LedgerEntry, writer: ResponseWriter
    ) -> None:
        entry.status = problem.status
        headers, body = dialect.error(problem, request_number(entry))
        await writer.send(problem.status, [*headers, *self._headers(dialect, entry)], body)

    def _headers(self, dialect: Dialect, entry: LedgerEntry) -> Headers:
        headers: Headers = []
        if entry.inference_id is not None:
            headers.append((b"x-inference-id", entry.inference_id.encode()))
        if entry.client_request_id is not None:
            headers.append((b"x-client-request-id", entry.client_request_id.encode()))
        limits = self._limiter.states(time.monotonic()) if self._limiter.active else []
        return headers + dialect.headers(request_number(entry), limits)


def request_number(entry: LedgerEntry) -> str:
    """The digits of a request's id, in errors and headers."""
    return f"{entry.arrival:012d}"


def _record_charge(entry: LedgerEntry, answer: EmulatedAnswer) -> None:
    entry.billed = True
    entry.billed_usd, entry.billed_credits = answer.bill.usd, answer.bill.credits
    entry.prompt_tokens, entry.cached_tokens = answer.tokens.prompt, answer.tokens.cached
    entry.cache_write_tokens = answer.tokens.cache_write + answer.tokens.cache_write_1h
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
        stop_sequence=None,
        refusal="I cannot help with that." if name == "refusal" else None,
        finish_reason="content_filter" if name == "content_filter" else "stop",
    )
