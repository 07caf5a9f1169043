"""Calls a user's function for each attempt and makes the reply. Whatever it does is one reply."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import threading
import time
from collections.abc import AsyncIterator
from typing import Any, cast

import msgspec

from evalharness.errors import ConfigError
from evalharness.process import session_clock
from evalharness.process.pauses import wait_at_most
from evalharness.providers.python.call import CallPrompt, CallReply
from evalharness.providers.python.exceptions import (
    CallFailure,
    check_error_table,
    classify,
)
from evalharness.providers.python.reference import Function
from evalharness.providers.python.reply import (
    UnusableResultError,
    build_reply,
    describe,
    read_result,
)
from evalharness.records import ErrorKind, Outcome, Prompt, Reply, Status

_GRACE_S = 1.0  # for a call to end after it was cancelled
_left_behind: set[asyncio.Task[Any]] = set()
_body = msgspec.json.Decoder(dict[str, Any])


class FunctionClient:
    """Calls one function; in place of :class:`~evalharness.chat_api.client.ChatClient`.

    The function is called ``function(prompt, params, attempt)`` with as many of these as it takes:
    a :class:`~.call.CallPrompt`, the parameters of the setting with its ``model``, and the attempt
    from 1. It may be ``async`` (called on the event loop), an async generator of pieces of text (a
    stream), or an ordinary function (called in a thread of its own).

    Args:
        function: see above.
        timeout_s: after so many seconds the call ends as an error of unknown outcome.

    Raises:
        ConfigError: the function takes no arguments, or its ``errors`` are no table.
    """

    def __init__(self, function: Function, *, timeout_s: float) -> None:
        self._function = function
        self._timeout_s = timeout_s
        target = inspect.unwrap(function)
        self._code = getattr(target, "__code__", None)
        self._errors = check_error_table(getattr(function, "errors", {}))
        self._count = _argument_count(function)
        called: Any = function if inspect.isroutine(function) else type(function).__call__
        self._is_async = inspect.iscoroutinefunction(called)
        self._is_stream = inspect.isasyncgenfunction(called)

    async def complete(
        self,
        body: bytes,
        client_request_id: str,
        *,
        prompt: Prompt | None = None,
        keep_chunk_times: bool = False,
    ) -> Reply:
        """Call the function once and classify what comes of it.

        Args:
            body: a request body from :func:`evalharness.chat_api.request_body.build_body`.
            client_request_id: its end after the last dot is the number of the attempt.
            prompt: the dataset row.
            keep_chunk_times: keep the arrival time of every piece.
        """
        params = _body.decode(body)
        messages: list[dict[str, Any]] = params.pop("messages", [])
        call_prompt = CallPrompt(
            messages,
            prompt_id="" if prompt is None else prompt.prompt_id,
            fields=None if prompt is None else dict(prompt.fields),
            tags=None if prompt is None else list(prompt.tags),
        )
        attempt = int(client_request_id.rpartition(".")[2] or 1)
        arguments = (call_prompt, params, attempt)[: self._count]
        sent_at_ns, began = session_clock.now_ns(), time.perf_counter()
        result = await self._within_limit(arguments, began)
        if isinstance(result, CallReply):
            try:
                latency_s = time.perf_counter() - began
                return build_reply(result, sent_at_ns, latency_s, keep_chunk_times=keep_chunk_times)
            except UnusableResultError as error:
                result = error
        failure = self._failure(result)
        return Reply(
            outcome=failure.outcome,
            status=Status.ERROR,
            error_kind=failure.kind,
            error_message=failure.message,
            sent_at_ns=sent_at_ns,
        )

    async def _within_limit(
        self, arguments: tuple[Any, ...], began: float
    ) -> CallReply | BaseException | None:
        """What the function gave or raised; None where its time is over.

        It runs in a task of its own. One that does not end when it is cancelled is left behind.
        """
        task = asyncio.ensure_future(self._guarded(arguments, began))
        try:
            # As with requests: what came while this process stood still is taken first.
            await wait_at_most([task], self._timeout_s)
            if not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=_GRACE_S)
                leave_behind(task)
                return None
        except asyncio.CancelledError:
            task.cancel()
            leave_behind(task)
            raise
        # A task that was cancelled before its first step has no result.
        return asyncio.CancelledError() if task.cancelled() else task.result()

    async def _guarded(self, arguments: tuple[Any, ...], began: float) -> CallReply | BaseException:
        """Call; what is raised is returned: a task lets SystemExit end the event loop."""
        try:
            return await self._call(arguments, began)
        except BaseException as error:
            return error

    def _failure(self, error: BaseException | None) -> CallFailure:
        if error is None:
            text = f"no answer within limits.timeout_total_s={self._timeout_s:g}"
            return CallFailure(
                ErrorKind.TOTAL_TIMEOUT, Outcome.IN_DOUBT, f"{text} ({self._name()})"
            )
        if isinstance(error, UnusableResultError):
            return CallFailure(
                ErrorKind.BAD_RESPONSE, Outcome.REJECTED, f"{error} ({self._name()})"
            )
        return classify(error, self._errors, self._code)

    def _name(self) -> str:
        if self._code is None:
            return type(self._function).__name__
        file = self._code.co_filename.rsplit("/", 1)[-1]
        return f"{self._code.co_name}, {file}:{self._code.co_firstlineno}"

    async def _call(self, arguments: tuple[Any, ...], began: float) -> CallReply:
        if self._is_stream:
            return await _collect(self._function(*arguments), began)
        if self._is_async:
            result = await self._function(*arguments)
        else:
            result = await _call_in_thread(functools.partial(self._function, *arguments))
            if inspect.isawaitable(result):  # an ordinary function that returns a coroutine
                result = await result
        if hasattr(result, "__aiter__"):
            return await _collect(cast("AsyncIterator[Any]", result), began)
        return read_result(result)


def leave_behind(task: asyncio.Task[Any]) -> None:
    """Wait for the task no more, not even when the event loop closes.

    A function that catches its cancellation and goes on would keep the process from ending.
    """
    if not task.done():
        _left_behind.add(task)
        task.add_done_callback(_left_behind.discard)
        # What asyncio.run waits for at its end is what is registered.
        getattr(asyncio.tasks, "_unregister_task", _left_behind.add)(task)


def _argument_count(function: Function) -> int:
    """How many of (prompt, params, attempt) a function takes."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # no signature, as for some functions written in C
        return 3
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return 3
    required = [p for p in parameters if p.default is p.empty and p.kind is p.KEYWORD_ONLY]
    needed = [p for p in positional if p.default is p.empty]
    if not positional or len(needed) > 3 or required:
        raise ConfigError(
            f"`provider.call`: {getattr(function, '__name__', 'the function')} must take (prompt), "
            "(prompt, params) or (prompt, params, attempt)",
            hint="async def call(prompt, params, attempt): return TEXT",
        )
    return min(3, len(positional))


async def _call_in_thread(function: functools.partial[Any]) -> Any:
    """Call in a daemon thread: one that hangs must not keep the process from ending."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()
    context = contextvars.copy_context()

    def deliver(result: Any, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)
        elif isinstance(error, StopIteration):  # a future cannot hold one
            text = f"StopIteration: {error}"
            future.set_exception(RuntimeError(text).with_traceback(error.__traceback__))
        else:
            future.set_exception(error)

    def work() -> None:
        result, error = None, None
        try:
            result = context.run(function)
        except BaseException as raised:
            error = raised
        try:
            loop.call_soon_threadsafe(deliver, result, error)
        except RuntimeError:  # the run has ended meanwhile
            return

    threading.Thread(target=work, daemon=True, name="evalharness-call").start()
    return await future


async def _collect(pieces: AsyncIterator[Any], began: float) -> CallReply:
    """A stream: pieces of text, and at its end maybe a reply with what is known of the whole."""
    chunks: list[tuple[float, str]] = []
    last: CallReply | None = None
    async for piece in pieces:
        if isinstance(piece, str):
            chunks.append((time.perf_counter() - began, piece))
        elif isinstance(piece, CallReply):
            last = piece
        else:
            raise UnusableResultError(f"a piece of the stream is {describe(piece)}, not a text")
    reply = last or CallReply()
    return msgspec.structs.replace(reply, chunks=[*(reply.chunks or []), *chunks])
