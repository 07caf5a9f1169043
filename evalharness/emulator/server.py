"""The emulator as a process: a socket, an event loop, and one line that says it is ready."""

from __future__ import annotations

import contextlib
import gc
import socket

import msgspec
import uvicorn

from evalharness.emulator.app import Emulator
from evalharness.emulator.options import EmulatorOptions
from evalharness.errors import ProviderError
from evalharness.process.child import exit_with_parent as watch_parent

BACKLOG = 8192  # connections waiting to be accepted; the kernel may allow fewer
KEEP_ALIVE_S = 3600
OPEN_FILES = 65_536


class _Server(uvicorn.Server):
    """A server that says when it accepts connections."""

    base_url = ""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        ready = {"ready": True, "base_url": self.base_url}
        print(msgspec.json.encode(ready).decode(), flush=True)


def serve(options: EmulatorOptions, host: str, port: int, *, exit_with_parent: bool) -> int:
    """See :func:`evalharness.emulator.serve`."""
    if exit_with_parent:
        watch_parent()
    _allow_many_files()
    emulator = Emulator(options)
    gc.freeze()  # everything made so far lives to the end: collections need not scan it
    listener = _listen(host, port)
    config = uvicorn.Config(
        emulator,
        http=emulator.connections.protocol(),
        loop="uvloop",
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=1,
    )
    server = _Server(config)
    server.base_url = _base_url(host, listener)
    with contextlib.suppress(KeyboardInterrupt):
        server.run([listener])
    return 0


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    # A port just left may be taken again at once.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ProviderError(
            f"the emulator cannot listen on {host}:{port}: {reason}",
            hint="--port 0 takes a free port",
        ) from None
    listener.setblocking(False)
    return listener


def _base_url(host: str, listener: socket.socket) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listener.getsockname()[1]}/v1"


def _allow_many_files() -> None:
    """Raise the limit of open files as far as is useful and allowed."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
