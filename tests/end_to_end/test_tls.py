"""Certificates, through the real command."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.cli.conftest import CommandOutput
from tests.http.raw_server import ANSWER


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A client that does not trust it is no error here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@contextmanager
def _serving_tls(folder: Path) -> Iterator[str]:
    """A chat API over TLS, whose authority is in ``ca.pem``; its base URL."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    server = _Server(("127.0.0.1", 0), _Handler)
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"https://localhost:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_certificates_of_a_provider(
    in_process: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not trusted: the run stops. Named or not checked: it runs, and the latter is said for good."""
    monkeypatch.setenv("EVH_TEST_KEY", "a-key-of-a-private-server-0123")
    (tmp_path / "rows.jsonl").write_text('{"id": "a", "prompt": "2+2?"}\n')
    with _serving_tls(tmp_path) as base_url:

        def run(*more: str) -> CommandOutput:
            return in_process(
                "run", "provider=openai_compatible", f"provider.base_url={base_url}",
                "provider.model=m", "provider.api_key_env=EVH_TEST_KEY", "name=r",
                "dataset.path=rows.jsonl", *more,
            )  # fmt: skip

        refused = run("repeats=1")
        assert refused.returncode == 2
        assert "provider.ca_file" in refused.stderr
        assert "SSL_CERT_FILE" in refused.stderr
        named = run("repeats=1", "provider.ca_file=ca.pem")
        assert (named.returncode, "was not checked" in named.stdout) == (0, False)
        unchecked = run("repeats=2", "provider.verify=false")
        assert (unchecked.returncode, "was not checked" in unchecked.stdout) == (0, True)
        again = run("repeats=3", "provider.ca_file=ca.pem")
        assert (again.returncode, "was not checked" in again.stdout) == (0, True)
    data = json.loads(in_process("report", "r", "--json").stdout)
    assert data["provenance"]["unverified"] == ["openai_compatible"]
