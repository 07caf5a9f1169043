"""A server that answers after a set time, or streams chunks at a set pace, and keeps its own clock.

It speaks just enough HTTP/1.1 for the client under test, on uvloop in a process of its own. Each
chunk's text is the instant it was written, so that the client's chunk times can be held against it:
nanoseconds since the Unix epoch, by the session clock of the process that started the server, as
the time of day may be set in between. ``GET /stats`` tells what the server saw: requests, the
integral of requests in flight over time, first and last instants.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from evalharness.process import session_clock

_STREAM = b'"stream":true'
_DELTA = b'data: {"choices":[{"index":0,"delta":{"content":"%d "}}]}\n\n'
_FINAL = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
_TICK_S = 0.001
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\n"


class _Seen:
    """Requests in flight over time, integrated between ``since`` and the last arrival."""

    def __init__(self) -> None:
        self.requests = self.now = self.most = 0
        self.area_s = 0.0
        self.first = self.last = self.changed = 0.0
        self.first_at = 0.0  # Unix seconds
        self.at_last = 0.0  # the integral at the last arrival: after it the run only drains

    def reset(self) -> None:
        """Begin anew; call it while nothing is in flight."""
        self.__init__()

    def change(self, by: int) -> None:
        at = time.perf_counter()
        self.area_s += self.now * (at - self.changed) if self.changed else 0.0
        self.changed = at
        self.now += by
        self.most = max(self.most, self.now)
        if by > 0:
            self.requests += 1
            self.first, self.first_at = self.first or at, self.first_at or time.time()
            self.last, self.at_last = at, self.area_s

    def facts(self) -> dict[str, Any]:
        span = self.last - self.first
        return {
            "requests": self.requests,
            "most": self.most,
            "first_at": self.first_at,
            "mean_in_flight": self.at_last / span if span else None,
            "span_s": span,
        }


class _Connection(asyncio.Protocol):
    """One connection; requests come one after the other."""

    def __init__(
        self, chunks: int, clock_start_ns: int, seen: _Seen, pace: _Later, delay: _Later
    ) -> None:
        self._chunks, self._clock_start_ns = chunks, clock_start_ns
        self._seen, self._pace, self._delay = seen, pace, delay
        self._left = self._socket = 0
        self._buffer = b""
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.set_write_buffer_limits(0)  # written now, not at the end of the loop's turn
        if transport.get_extra_info("ssl_object") is None:
            self._socket = transport.get_extra_info("socket").fileno()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return
        if head.startswith(b"GET /stats"):
            body = json.dumps(self._seen.facts()).encode()
            if head.startswith(b"GET /stats?reset"):
                self._seen.reset()
            self._transport.write(_HEAD % b"application/json" + _sized(body))
            self._buffer = b""
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        if len(rest) < length:
            return
        self._buffer = rest[length:]
        self._seen.change(+1)
        if _STREAM in rest:
            kind = b"text/event-stream\r\ntransfer-encoding: chunked\r\nconnection: close"
            self._transport.write(_HEAD % kind + b"\r\n")
            self._left = self._chunks
            self._pace.call(self._say)
        else:
            self._delay.call(self._answer)

    def _answer(self) -> None:
        body = json.dumps(
            {
                "id": "c", "object": "chat.completion", "created": 1, "model": "paced",
                "choices": [{"index": 0, "finish_reason": "stop",
                             "message": {"role": "assistant", "content": "Paris."}}],
                "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11},
            }
        ).encode()  # fmt: skip
        self._seen.change(-1)
        self._transport.write(_HEAD % b"application/json" + _sized(body))

    def _say(self) -> None:
        if self._transport.is_closing():
            self._seen.change(-1)
        elif self._left:
            self._left -= 1
            piece = _DELTA % (self._clock_start_ns + time.clock_gettime_ns(session_clock.CLOCK))
            if self._socket:
                # Straight to the system: half the time of the event loop's own way.
                os.write(self._socket, b"%x\r\n%b\r\n" % (len(piece), piece))
            else:  # encrypted
                self._transport.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            self._pace.call(self._say)
        else:
            self._seen.change(-1)
            self._transport.write(_piece(_FINAL) + b"0\r\n\r\n")
            self._transport.close()


class _Later:
    """Calls things a set time later, in the order in which they were asked for: one timer for all.

    What is called ``every_s`` after it last was due keeps its pace, however late it was called.
    """

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._loop = asyncio.get_running_loop()
        self._due: deque[tuple[float, Callable[[], None]]] = deque()
        self._now: float | None = None  # when the call being made was due

    def call(self, what: Callable[[], None]) -> None:
        """Call it once, later; from within a call: that much after that call was due."""
        at = (self._loop.time() if self._now is None else self._now) + self._every_s
        self._due.append((at, what))
        if len(self._due) == 1 and self._now is None:
            self._loop.call_at(at, self._ring)

    def _ring(self) -> None:
        while self._due and self._due[0][0] <= self._loop.time():
            self._now, what = self._due.popleft()
            what()
        self._now = None
        if self._due:
            # Not for each one: what is due within a millisecond is done together.
            self._loop.call_at(max(self._due[0][0], self._loop.time() + _TICK_S), self._ring)


def _sized(body: bytes) -> bytes:
    return b"content-length: %d\r\n\r\n" % len(body) + body


def _piece(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@contextmanager
def paced_server(
    *, delay_s: float = 0.5, gap_s: float = 0.02, chunks: int = 50, certificate: str = ""
) -> Iterator[str]:
    """Run the server in another process; yields its address without a path.

    ``certificate`` is a PEM file with key and certificates of 127.0.0.1; it then speaks https.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    clock_start_ns = session_clock.now_ns() - time.clock_gettime_ns(session_clock.CLOCK)
    options = [str(each) for each in (port, delay_s, gap_s, chunks, clock_start_ns)]
    command = [sys.executable, __file__, *options, *([certificate] if certificate else [])]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        if process.stdout.readline() != b"ready\n":
            raise SystemExit("the paced server did not start")
        yield f"http{'s' if certificate else ''}://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.communicate()


def stats(address: str, *, reset: bool = False) -> dict[str, Any]:
    """What the server saw so far, or since the last reset."""
    with urllib.request.urlopen(f"{address}/stats{'?reset' if reset else ''}") as answer:
        return json.load(answer)


async def _serve(options: argparse.Namespace) -> None:
    seen = _Seen()
    loop = asyncio.get_running_loop()
    pace, delay = _Later(options.gap_s), _Later(options.delay_s)
    encrypted = None
    if options.certificate:
        encrypted = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        encrypted.load_cert_chain(options.certificate)
    server = await loop.create_server(
        lambda: _Connection(options.chunks, options.clock_start_ns, seen, pace, delay),
        "127.0.0.1",
        options.port,
        backlog=4096,
        ssl=encrypted,
    )
    print("ready", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    for name in ("delay_s", "gap_s"):
        parser.add_argument(name, type=float)
    parser.add_argument("chunks", type=int)
    parser.add_argument("clock_start_ns", type=int)
    parser.add_argument("certificate", nargs="?", default="")
    uvloop.run(_serve(parser.parse_args()))
