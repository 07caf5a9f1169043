"""What one protocol has of its own; limits, texts, bills, faults and timing are shared by all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import msgspec

from evalharness.emulator.billing import Bill, RequestTokens
from evalharness.emulator.completion import ChatChoice
from evalharness.emulator.delivery.framing import StreamEvent
from evalharness.emulator.delivery.hostile_bodies import AnswerShape
from evalharness.emulator.limiter import LimitState
from evalharness.emulator.options import EmulatorOptions
from evalharness.emulator.validation.error_bodies import Headers, Problem
from evalharness.emulator.validation.parsed_request import ParsedRequest


class EmulatedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that goes into a response.

    Attributes:
        body: the request in its own protocol, for what an answer repeats of it.
        key: 32 hexadecimal digits, from which its ids are made.
        created: Unix seconds.
    """

    request: ParsedRequest
    body: dict[str, Any]
    choices: list[ChatChoice]
    tokens: RequestTokens
    bill: Bill
    key: str
    created: int
    fingerprint: str | None
    profile: str

    @property
    def shows_bill(self) -> bool:
        """Whether the profile's responses say what a request cost."""
        return self.profile != "openai"

    @property
    def bill_object(self) -> dict[str, Any]:
        """The bill as the AI/ML API writes it into a stream, with exact digits as a number."""
        usd = msgspec.Raw(self.bill.usd_text().encode())
        return {"usage": {"credits_used": self.bill.credits, "usd_spent": usd}}


class AnswerStream(ABC):
    """The events of one streamed answer, called in this order: opening, steps, closing, done."""

    @abstractmethod
    def opening(self) -> list[StreamEvent]:
        """What is sent at once, before any token."""

    @abstractmethod
    def steps(self) -> list[list[StreamEvent]]:
        """The tokens: a step is what is sent when one token is due."""

    @abstractmethod
    def closing(self) -> list[StreamEvent]:
        """How the answer ended, and its usage."""

    @abstractmethod
    def done(self) -> list[StreamEvent]:
        """What only says that the stream is over; empty where the protocol has no such thing."""

    @abstractmethod
    def error(self, sent: int) -> StreamEvent:
        """The event of an error after so many events."""

    @abstractmethod
    def failure(self, sent: int) -> StreamEvent:
        """The event that ends an answer as failed; the error where the protocol has none."""

    @abstractmethod
    def text(self, text: str) -> StreamEvent:
        """An event that carries a text."""


class Dialect(ABC):
    """One protocol, under the options of one server.

    Attributes:
        name: as in ``provider.protocol``.
        path: of its endpoint.
        takes_key_header: whether a key may stand in ``x-api-key``.
        shape: where the parts of an answer stand, for faults that break them.
    """

    name: str
    path: str
    takes_key_header = False
    shape: AnswerShape

    def __init__(self, options: EmulatorOptions) -> None:
        self._options = options

    @abstractmethod
    def read(self, raw: bytes, headers: dict[bytes, bytes]) -> dict[str, Any]:
        """The decoded body of a valid request.

        Raises:
            RequestRefusedError: it is not valid; a 400 in the API's words.
        """

    @abstractmethod
    def parse(self, body: dict[str, Any]) -> ParsedRequest:
        """What a valid body asks for."""

    @abstractmethod
    def object_body(self, answer: EmulatedAnswer) -> dict[str, Any]:
        """The response in one piece."""

    @abstractmethod
    def stream(self, answer: EmulatedAnswer) -> AnswerStream:
        """The response as a stream."""

    @abstractmethod
    def error(self, problem: Problem, request_id: str) -> tuple[Headers, bytes]:
        """Headers and body of a refusal."""

    def headers(self, request_id: str, limits: list[LimitState]) -> Headers:
        """Headers of every response; ``limits`` are what is left of them."""
        del request_id, limits
        return []
