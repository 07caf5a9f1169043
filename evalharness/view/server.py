"""The pages served on a socket until Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable

import msgspec
import uvicorn

from evalharness.errors import ConfigError
from evalharness.process.interrupts import interruptible
from evalharness.view.app import view_app
from evalharness.view.content.cache import ContentCache
from evalharness.view.queries.connection import import_database
from evalharness.view.queries.own_folder import remove_left_folders
from evalharness.view.security import make_token
from evalharness.view.settings import ViewSettings

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class ViewServer(uvicorn.Server):
    """A server whose socket is open already.

    Attributes:
        settings: with the port that is listened on, and the token.
        ready: set once requests are answered.
        on_ready, on_end: called then, and when it ends: also by a signal that ends the process.
    """

    def __init__(self, settings: ViewSettings, listener: socket.socket) -> None:
        app = view_app(settings)
        config = uvicorn.Config(
            app,
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=1,
        )
        super().__init__(config)
        self.settings = settings
        self.ready = threading.Event()
        self.on_ready: Callable[[], None] = lambda: None
        self.on_end: Callable[[], None] = lambda: None
        self._listener = listener
        self._contents: ContentCache = app.state.context.contents

    @property
    def link(self) -> str:
        """The address of the list of runs, with the token where there is one."""
        return link_of(self.settings)

    def close_listener(self) -> None:
        """Listen no more, without having answered anything."""
        self._listener.close()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        for prepare in (import_database, remove_left_folders):
            asyncio.get_running_loop().run_in_executor(None, prepare)
        self.ready.set()
        self.on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End what is being computed, too."""
        self.on_end()
        await self._contents.close()
        await super().shutdown(sockets)

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer requests until Ctrl-C, SIGTERM or SIGHUP, or until ``should_exit``."""
        # No signal is an exception here: one that is raised within an answer would be lost.
        with (
            contextlib.closing(self._listener),
            interruptible() as interrupts,
            interrupts.pass_to(lambda number: self.handle_exit(number, None)),
        ):
            super().run(sockets or [self._listener])


def open_server(settings: ViewSettings) -> ViewServer:
    """A server that listens; :meth:`ViewServer.run` lets it answer.

    Args:
        settings: port 0 takes a free one; another host than loopback gets a token.

    Raises:
        ConfigError: nothing can listen there.
    """
    listener = _listen(settings.host, settings.port)
    settings = msgspec.structs.replace(settings, port=listener.getsockname()[1])
    if settings.token is None and settings.host not in _LOOPBACK:
        settings = msgspec.structs.replace(settings, token=make_token())
    return ViewServer(settings, listener)


def link_of(settings: ViewSettings) -> str:
    """The address of the list of runs, with the token where there is one."""
    name = settings.host
    if name in ("0.0.0.0", "::"):  # noqa: S104 — compared, not listened on
        name = socket.gethostname()
    name = f"[{name}]" if ":" in name else name
    token = "" if settings.token is None else f"?token={settings.token}"
    return f"http://{name}:{settings.port}/{token}"


def _listen(host: str, port: int) -> socket.socket:
    if not host.strip():
        raise ConfigError(
            "--host is empty: it would be every address of this machine",
            hint="--host 0.0.0.0 is every address, 127.0.0.1 this machine alone",
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    # A port just left may be taken again at once.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()
    except (OSError, OverflowError, TypeError, UnicodeError) as error:  # a name that is none
        listener.close()
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(
            f"nothing can listen on {host}:{port}: {reason}", hint="--port 0 takes a free port"
        ) from None
    listener.setblocking(False)
    return listener
