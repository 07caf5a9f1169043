"""Bodies out of files, and answers into files, on a real socket."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from evalharness.config.models import LimitsConfig
from evalharness.http.files import FileBody, FileTransport
from evalharness.records import ErrorKind

received: list[bytes] = []


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        received.append(self.rfile.read(int(self.headers["content-length"])))
        self._answer(200, b"{}")

    def do_GET(self) -> None:
        lines = b"".join(b"line %d secret\n" % i for i in range(5_000)) + b"last secret"
        if self.path == "/cut":
            self.send_response(200)
            self.send_header("content-length", str(len(lines)))
            self.end_headers()
            self.wfile.write(lines[: len(lines) // 2])
        elif self.path == "/packed":
            self._answer(200, b"\x1f\x8b", ("content-encoding", "gzip"))
        elif self.path == "/nothing":
            self._answer(204, b"")
        elif self.path == "/moved":
            self._answer(307, b"elsewhere")
        elif self.path == "/gone":
            self._answer(404, b'{"error": "no file"}')
        else:
            self._answer(200, lines)

    def _answer(self, status: int, content: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for header in headers:
            self.send_header(*header)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@contextmanager
def _serving() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


async def test_a_body_comes_from_its_pieces() -> None:
    """With its length, and without being in memory at once."""
    received.clear()
    body = FileBody(9, lambda: iter([b"abc", b"def", b"ghi"]))
    with _serving() as url:
        async with FileTransport(LimitsConfig()) as transport:
            exchange = await transport.send("POST", f"{url}/files", {}, body)
    assert (exchange.status, exchange.failure) == (200, None)
    assert received == [b"abcdefghi"]


async def test_a_file_is_written_line_by_line(tmp_path: Path) -> None:
    """Each line is cleaned before it is on the disk, the last one, too."""
    target = tmp_path / "results.jsonl"
    with _serving() as url:
        async with FileTransport(LimitsConfig(max_response_mib=0.001)) as transport:
            exchange = await transport.send(
                "GET", f"{url}/file", {}, target=target,
                clean=lambda line: line.replace(b"secret", b"***"),
            )  # fmt: skip
    assert (exchange.status, exchange.failure, exchange.chunks) == (200, None, [])
    lines = target.read_bytes().splitlines()
    assert (len(lines), lines[-1]) == (5_001, b"last ***")
    assert b"secret" not in target.read_bytes()


@pytest.mark.parametrize(
    ("path", "status", "failure"),
    [
        ("/gone", 404, None),
        ("/moved", 307, None),
        ("/cut", 200, ErrorKind.CONNECTION_LOST),
        ("/packed", 200, ErrorKind.BAD_ENCODING),
        ("/nothing", None, ErrorKind.BAD_RESPONSE),
    ],
)
async def test_what_is_no_file(
    tmp_path: Path, path: str, status: int | None, failure: ErrorKind | None
) -> None:
    """A refusal is in the exchange; a file that was cut off is a failure; nothing is followed."""
    with _serving() as url:
        async with FileTransport(LimitsConfig()) as transport:
            exchange = await transport.send("GET", url + path, {}, target=tmp_path / "x")
    assert (exchange.status, exchange.failure) == (status, failure)


async def test_a_server_that_is_not_there() -> None:
    """Never reached: certainly not served."""
    async with FileTransport(LimitsConfig()) as transport:
        exchange = await transport.send("POST", "http://127.0.0.1:1/x", {}, b"{}")
    assert (exchange.failure, exchange.reached) == (ErrorKind.CONNECT, False)
