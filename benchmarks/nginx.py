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
        listen 127.0.0.1:{port} backlog=4096;
        location /v1/chat/completions {{
            default_type application/json;
            return 200 '{answer}';
        }}
    }}
}}
"""


def find_nginx() -> str | None:
    """Path of the nginx program, or None."""
    return shutil.which("nginx") or shutil.which("/usr/sbin/nginx")


@contextmanager
def canned_server() -> Iterator[str]:
    """Serve the canned answer on loopback; yields the base URL including /v1."""
    program = find_nginx()
    if program is None:
        raise SystemExit("nginx is missing: apt-get install nginx-light")
    with tempfile.TemporaryDirectory() as folder:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        config = Path(folder) / "nginx.conf"
        config.write_text(_CONFIG.format(root=folder, port=port, answer=json.dumps(ANSWER)))
        process = subprocess.Popen([program, "-c", str(config), "-p", folder])
        try:
            _wait_for(port, process)
            yield f"http://127.0.0.1:{port}/v1"
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
