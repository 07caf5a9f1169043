"""The batch endpoints of one provider: each call with its retries, each failure as an exception."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from evalharness.batch.wire import BatchApi, BatchFacts, Call
from evalharness.chat_api.client import ChatClient
from evalharness.config.batch import BatchRules
from evalharness.config.models import LimitsConfig
from evalharness.errors import ConfigError, ProviderError
from evalharness.http.exchange import Exchange
from evalharness.http.files import FileBody, FileTransport
from evalharness.records import Outcome, Reply
from evalharness.store.journal.batch_files import BatchState
from evalharness.throttle.clock import SystemClock
from evalharness.throttle.retry_policy import RetryPolicy

_LONGEST_PAUSE_S = 60.0
# Clocks differ: a batch may seem to be older than the call that made it. Where the provider keeps a
# token with it, no other is taken for it, and a clock that is hours wrong does no harm either.
_SKEW_NS = {"anthropic": 300 * 1_000_000_000, "openai": 86_400 * 1_000_000_000}
_PAGES = 50  # of the list of batches
_GIVE_UP = "--cancel gives its requests up: they are in doubt, and asked again by the next run"


class CallFailedError(ProviderError):
    """A call was refused, and would be again.

    Attributes:
        reply: the refusal.
    """

    def __init__(self, message: str, reply: Reply) -> None:
        super().__init__(message)
        self.reply = reply


class NoAnswerYetError(ProviderError):
    """A call got no answer in several tries; nothing says that it would not later."""


class CreationInDoubtError(ProviderError):
    """A batch may have been created: the answer was lost."""


class CallStopped(Exception):  # noqa: N818 - nothing went wrong: the run is to end
    """The run stops, while a call was to be tried again."""


class BatchClient:
    """Speaks to the batch endpoints of one provider.

    Args:
        http: an open transport.
        chat: the client of its single requests, for its address, its key, and the classification
            of its errors.
        form: of its endpoints.
        rules: its limits.
        limits: of the run.
        pause: waits some seconds; false once the run is to stop.
        name: of the provider configuration, for messages.

    Attributes:
        policy: decides what follows from answers of requests in batches.
    """

    def __init__(
        self,
        http: FileTransport,
        chat: ChatClient,
        form: BatchApi,
        rules: BatchRules,
        limits: LimitsConfig,
        pause: Callable[[float], Awaitable[bool]],
        *,
        name: str,
        new_policy: Callable[[], RetryPolicy],
    ) -> None:
        self.chat, self.form, self.rules = chat, form, rules
        self.name = name
        self.policy = new_policy()
        self._calls = new_policy()
        self._http, self._limits, self._pause = http, limits, pause
        self._clock = SystemClock()

    def line(self, custom_id: str, body: bytes) -> bytes:
        """A request as a line of the file, with its end."""
        return self.form.line(custom_id, self.chat.protocol.path, body) + b"\n"

    async def upload(self, state: BatchState, file: Path) -> str | None:
        """Bring the file of requests to the provider; its name there, None where it has none.

        An upload costs nothing, so one whose answer was lost is repeated.
        """
        call = self.form.upload(state, file)
        if call is None:
            return None
        exchange = await self._call("POST", call.path, call)
        file_id = _decode(exchange).get("id") if _is_object(exchange) else None
        if not isinstance(file_id, str) or not file_id:
            raise NoAnswerYetError(f"{self.name}: the upload of a file was answered without an id")
        return file_id

    async def create(self, state: BatchState, file: Path) -> BatchFacts:
        """Make the batch.

        Raises:
            CreationInDoubtError: its answer was lost, so that it may have been made.
            CallFailedError: the provider refuses it.
            NoAnswerYetError: it certainly was not made, for a reason that may pass.
        """
        call = self.form.create(state, file, self.chat.protocol.path, self.rules)
        exchange = await self._call("POST", call.path, call, repeatable=False)
        try:
            return self.form.read_batch(_decode(exchange))
        except ValueError as error:
            raise CreationInDoubtError(
                f"{self.name}: the creation of a batch was answered with something else: {error}"
            ) from None

    async def look(self, batch_id: str) -> BatchFacts:
        """How a batch is doing."""
        exchange = await self._call("GET", self.form.batch_path(batch_id))
        return self._facts(exchange)

    async def cancel(self, batch_id: str) -> None:
        """Ask for a batch to be cancelled; one that has ended stays as it is."""
        try:
            await self._call("POST", self.form.cancel_path(batch_id))
        except CallFailedError as error:
            # A batch that has ended cannot be cancelled: OpenAI says 409, Anthropic 400.
            if error.reply.http_status not in (400, 409):
                raise

    async def created_since(self, at_ns: int) -> list[BatchFacts]:
        """The batches of this account that were made since a moment (Unix nanoseconds)."""
        batches: list[BatchFacts] = []
        since_ns = at_ns - _SKEW_NS[self.form.name]
        path: str | None = self.form.list_path
        for _ in range(_PAGES):
            exchange = await self._call("GET", path)
            try:
                page = self.form.read_page(_decode(exchange))
            except ValueError as error:
                raise NoAnswerYetError(
                    f"{self.name}: the list of batches cannot be read: {error}"
                ) from None
            batches += [
                batch
                for batch in page.batches
                if batch.created_at_ns is None or batch.created_at_ns >= since_ns
            ]
            path = page.next_path
            if path is None or _ends_before(page.batches, since_ns):
                return batches
        raise NoAnswerYetError(f"{self.name}: the list of batches has no end")

    async def fetch(self, path: str, target: Path) -> None:
        """Write results into a file, line by line, without the key should one repeat it."""
        redactor = self.chat.redactor
        await self._call(
            "GET", path, target=target, clean=bytes if redactor is None else redactor.redact_bytes
        )

    def _facts(self, exchange: Exchange) -> BatchFacts:
        try:
            return self.form.read_batch(_decode(exchange))
        except ValueError as error:
            raise NoAnswerYetError(f"{self.name}: a batch cannot be read: {error}") from None

    async def _call(
        self,
        method: str,
        path: str,
        call: Call | None = None,
        *,
        repeatable: bool = True,
        target: Path | None = None,
        clean: Callable[[bytes], bytes] = bytes,
    ) -> Exchange:
        """Send a request until it is answered with a success.

        Args:
            method: of HTTP.
            path: below the base URL.
            call: its body; None has none.
            repeatable: to repeat it costs nothing, also where it may have been served.
            target: where the body of the answer goes.
            clean: changes each of its lines before.

        Raises:
            CallFailedError, NoAnswerYetError, CreationInDoubtError: see :meth:`create`.
            AccountError, ConfigError: the account is refused, or nothing can be reached.
            CallStopped: the run is to end.
        """
        body: FileBody | bytes | None = None if call is None else call.body
        headers = {**self.chat.headers, "accept": "*/*", **({} if call is None else call.headers)}
        if call is None:
            headers.pop("content-type", None)
        words = ""
        for attempt in range(1, self._limits.max_attempts + 1):
            exchange = await self._http.send(
                method, self._address(path), headers, body, target=target, clean=clean
            )
            if exchange.failure is None and 200 <= (exchange.status or 0) < 300:
                self._calls.ever_reached = True
                return self._without_key(exchange)
            reply = self.chat.read(_without_success(exchange), b"{}")
            words = _words(reply)
            # Whatever the profile says of failed requests: a server that fails may have made it.
            broken = reply.outcome is Outcome.IN_DOUBT or (reply.http_status or 0) >= 500
            if broken and not repeatable:
                raise CreationInDoubtError(f"{self.name}: {words}")
            decision = self._calls.decide(reply, attempt, 0, same_error_count=attempt - 1)
            if decision.stops:
                raise decision.error()
            passing = reply.outcome in (Outcome.IN_DOUBT, Outcome.NOT_SENT)
            if decision.final and not passing and _is_refusal(reply):
                raise CallFailedError(f"{self.name}: {method} {path}: {words}", reply)
            if attempt == self._limits.max_attempts:
                break
            wait_s = decision.wait_s or min(_LONGEST_PAUSE_S, 2.0 ** (attempt - 1))
            if not await self._pause(wait_s):
                raise CallStopped
        raise NoAnswerYetError(f"{self.name}: {method} {path}: {words}")

    def _without_key(self, exchange: Exchange) -> Exchange:
        """What is read of an answer is shown and stored."""
        redactor = self.chat.redactor
        if redactor is None or not exchange.chunks:
            return exchange
        body = redactor.redact_bytes(b"".join(exchange.chunks))
        return msgspec.structs.replace(exchange, chunks=[body], times_ns=exchange.times_ns[-1:])

    def _address(self, path: str) -> str:
        """The address of a path that may have a query beside that of the configuration."""
        where, _, query = path.partition("?")
        address = self.chat.address(where)
        if not query:
            return address
        return f"{address}{'&' if '?' in address else '?'}{query}"


def gone_error(error: CallFailedError, state: BatchState, key_variable: str | None) -> ConfigError:
    """The error for a batch that the provider does not know, or does not show to this key."""
    key = "the key" if key_variable is None else f"the key in {key_variable}"
    words = _words(error.reply)
    if state.batch_id is None:
        return ConfigError(
            f"the creation of batch {state.name}, with {state.requests} requests of this run, was "
            f"not answered, and {state.provider} does not list its batches ({words}): nobody knows "
            "whether it exists",
            hint=f"{_GIVE_UP}; they may be paid for twice then",
        )
    return ConfigError(
        f"batch {state.batch_id}, with {state.requests} requests of this run, is not at "
        f"{state.provider} for {key} ({words})",
        hint=f"use the key of the account that sent it; if the batch was deleted, {_GIVE_UP}",
    )


def _ends_before(batches: Sequence[BatchFacts], at_ns: int) -> bool:
    """Whether a page of a list comes to older batches; only where the newest are first."""
    created = [batch.created_at_ns or at_ns for batch in batches]
    return bool(created) and created[-1] < at_ns and created == sorted(created, reverse=True)


def _is_refusal(reply: Reply) -> bool:
    """Whether a refusal is about this call, and not about the moment."""
    status = reply.http_status or 0
    return 400 <= status < 500 and status not in (408, 425, 429, 498)


def _without_success(exchange: Exchange) -> Exchange:
    """An exchange that failed after its head, as one without a status: nothing whole has come."""
    if exchange.failure is not None and 200 <= (exchange.status or 0) < 300:
        return msgspec.structs.replace(exchange, status=None, chunks=[], times_ns=[])
    return exchange


def _words(reply: Reply) -> str:
    return " ".join((reply.error_message or str(reply.error_kind)).split())[:300]


def _is_object(exchange: Exchange) -> bool:
    return isinstance(_decode(exchange), dict)


def _decode(exchange: Exchange) -> Any:
    try:
        return msgspec.json.decode(b"".join(exchange.chunks))
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
