"""A gateway between the command and an emulator that loses parameters on the way."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

from tests.end_to_end.handler_server import serve_handler


@contextmanager
def emulator(*dials: str) -> Iterator[str]:
    """An emulator in a process of its own; its base URL."""
    with subprocess.Popen(
        [sys.executable, "-m", "evalharness", "serve", "emulator", "--exit-with-parent", *dials],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdin is not None
        yield json.loads(process.stdout.readline())["base_url"]
        process.stdin.close()
        process.wait(timeout=30)


@contextmanager
def gateway(base_url: str, loses: tuple[str, ...]) -> Iterator[str]:
    """Pass every request on to ``base_url`` without the parameters it ``loses``; its base URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet: two would wait 40 ms for each other

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            forwarded = {name: value for name, value in body.items() if name not in loses}
            request = urllib.request.Request(
                f"{base_url}/chat/completions",
                json.dumps(forwarded).encode(),
                {"content-type": "application/json"},
            )
            with urllib.request.urlopen(request, timeout=30) as answer:
                content = answer.read()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    with serve_handler(Handler) as url:
        yield url
