"""A Ray with a client server, alive while standard input is open. Not a test."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


with tempfile.TemporaryDirectory(prefix="evh-c-", ignore_cleanup_errors=True) as folder:
    port = free_port()
    command = [
        str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--num-cpus=4",
        f"--ray-client-server-port={port}", f"--port={free_port()}", f"--temp-dir={folder}",
        "--include-dashboard=false", f"--object-store-memory={100 * 2**20}",
    ]  # fmt: skip
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as head:
        while head.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                pass
        if head.poll() is None:
            print(f"ray://127.0.0.1:{port}", flush=True)
        sys.stdin.read()
        head.terminate()
