"""Keys of a Ray on this machine: taken out of its processes, handed to workers that send.

All that Ray starts inherits an environment. Without this, a key would be in that of every one of
its servers and agents for as long as they live, and in no way used there. Nor may it be sent
through Ray, whose object store may write to disk.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Collection, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from evalharness.process.environment import is_secret

# Ray's own token must reach its processes.
_RAY_PREFIX = "RAY_"
# Workers that upload what they have made find the credentials of the store as AWS's tools do.
_STORE_PREFIX = "AWS_"


@contextmanager
def without_secrets() -> Generator[None]:
    """Inside, the environment has no variables with secrets, so that children get none."""
    hidden = {
        name: value
        for name, value in os.environ.items()
        if is_secret(name) and not name.startswith(_RAY_PREFIX)
    }
    for name in hidden:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(hidden)


@contextmanager
def serve_keys(path: Path, variables: Collection[str]) -> Generator[None]:
    """Inside, :func:`receive_keys` gets these variables of this process, and a store's credentials.

    Args:
        path: of the socket; only this user may enter its folder.
        variables: names of environment variables.
    """
    values = {
        name: value
        for name, value in os.environ.items()
        if name in variables or name.startswith(_STORE_PREFIX)
    }
    answer = json.dumps(values).encode()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        path.chmod(0o600)
        server.listen(64)
        thread = threading.Thread(target=_serve, args=(server, answer), daemon=True)
        thread.start()
        try:
            yield
        finally:
            # Closing the socket does not wake a thread that waits for a connection.
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            thread.join()
            path.unlink(missing_ok=True)


def _serve(server: socket.socket, answer: bytes) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection, suppress(OSError):
            connection.sendall(answer)


def receive_keys(path: str) -> None:
    """Put what :func:`serve_keys` hands out into the environment of this process.

    Raises:
        OSError: the process that served it has ended.
    """
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        with client.makefile("rb") as answer:
            os.environ.update(json.loads(answer.read()))
