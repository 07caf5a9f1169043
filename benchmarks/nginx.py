"""nginx with a canned completion: a server that answers at once, so that it is not the limit."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import trustme

ANSWER = {
    "id": "chatcmpl-canned", "object": "chat.completion", "created": 1_700_000_000,
    "model": "canned", "system_fingerprint": "fp_canned",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {
        "role": "assistant", "content": "The capital of France is Paris. " * 8}}],
    "usage": {"prompt_tokens": 12, "completion_tokens": 64, "total_tokens": 76,
              "prompt_tokens_details": {"cached_tokens": 0}},
}  # fmt: skip

_CONFIG = """
worker_processes 1;
daemon off;
pid {root}/nginx.pid;
error_log {root}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {root}/body;
    proxy_temp_path {root}/proxy;
    fastcgi_temp_path {root}/fastcgi;
    uwsgi_temp_path {root}/uwsgi;
    scgi_temp_path {root}/scgi;
    keepalive_requests 100000000;
    keepalive_timeout 600s;
    server {{
        listen 127.0.0.1:{port}{ssl} backlog=4096;
        {certificate}
        location /v1/chat/completions {{
            default_type application/json;
            return 200 '{answer}';
        }}
    }}
}}
"""


_CERTIFICATE = "ssl_certificate {root}/cert.pem; ssl_certificate_key {root}/key.pem;"


class TlsServer(NamedTuple):
    """Base URL of a server with TLS, and the file of the authority to trust."""

    base_url: str
    ca_file: str


def find_nginx() -> str | None:
    """Path of the nginx program, or None."""
    return shutil.which("nginx") or shutil.which("/usr/sbin/nginx")


@contextmanager
def canned_server() -> Iterator[str]:
    """Serve the canned answer on loopback; yields the base URL including /v1."""
    with tempfile.TemporaryDirectory() as folder, _nginx(Path(folder)) as port:
        yield f"http://127.0.0.1:{port}/v1"


@contextmanager
def canned_tls_server() -> Iterator[TlsServer]:
    """The same over TLS, with a certificate of an authority made for it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        authority = trustme.CA()
        leaf = authority.issue_cert("127.0.0.1")
        authority.cert_pem.write_to_path(folder / "ca.pem")
        leaf.private_key_pem.write_to_path(folder / "key.pem")
        for number, blob in enumerate(leaf.cert_chain_pems):
            blob.write_to_path(folder / "cert.pem", append=number > 0)
        with _nginx(folder, tls=True) as port:
            yield TlsServer(f"https://127.0.0.1:{port}/v1", str(folder / "ca.pem"))


@contextmanager
def _nginx(folder: Path, *, tls: bool = False) -> Iterator[int]:
    """Run nginx in a folder, which holds its certificate if it is to use TLS; yields the port."""
    program = find_nginx()
    if program is None:
        raise SystemExit("nginx is missing: apt-get install nginx-light")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = folder / "nginx.conf"
    config.write_text(
        _CONFIG.format(
            root=folder,
            port=port,
            answer=json.dumps(ANSWER),
            ssl=" ssl" if tls else "",
            certificate=_CERTIFICATE.format(root=folder) if tls else "",
        )
    )
    process = subprocess.Popen([program, "-c", str(config), "-p", str(folder)])
    try:
        _wait_for(port, process)
        yield port
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(500):
        with socket.socket() as attempt:
            if attempt.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            raise SystemExit("nginx did not start")
        time.sleep(0.01)
    raise SystemExit("nginx does not listen")
