"""Stands between a command and a provider, to kill the command at a chosen call."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class Relay:
    """Passes calls on, and acts at one of them.

    Attributes:
        url: what to ask instead of the provider.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._act: Callable[[], None] | None = None
        self._left = 0
        self._served = False
        self._lock = threading.Lock()

    def kill_at(self, number: int, kill: Callable[[], None], *, served: bool) -> None:
        """Kill at the n-th call from now, before it reaches the provider or once it is served."""
        with self._lock:
            self._left, self._act, self._served = number, kill, served

    def spare(self) -> None:
        """Pass everything on."""
        with self._lock:
            self._act = None

    def strikes(self) -> tuple[Callable[[], None], bool] | None:
        """At each call: how to kill and whether the call is served before; None: passed on."""
        with self._lock:
            self._left -= 1
            if self._left != 0 or self._act is None:
                return None
            return self._act, self._served


@contextmanager
def relaying(target: str) -> Iterator[Relay]:
    """Relay to a base URL on a free port for the length of the block."""
    address = urlsplit(target)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._pass_on()

        def do_POST(self) -> None:
            self._pass_on()

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            strike = relay.strikes()
            if strike is not None and not strike[1]:
                strike[0]()
                return
            provider = http.client.HTTPConnection(address.hostname or "", address.port)
            try:
                headers = {n: v for n, v in self.headers.items() if n.lower() != "host"}
                provider.request(self.command, self.path, body, headers)
                answer = provider.getresponse()
                content = answer.read()
            finally:
                provider.close()
            if strike is not None:
                strike[0]()
                return
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                    self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    relay = Relay(f"http://127.0.0.1:{server.server_address[1]}{address.path}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield relay
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
