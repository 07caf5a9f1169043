"""TLS between a socket of the event loop and a connection, by OpenSSL through ``ssl.SSLObject``.

The event loop's own TLS hides two things a measurement needs: whether the server said that it has
ended (``close_notify``) or was cut off, and what is still unsent; on uvloop it also holds back what
is written until the end of the loop's turn. Here each piece goes through OpenSSL in the callback
that brings it, and out at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import Any, cast

from evalharness.http.certificates import HANDSHAKE_ENDED, NO_CLOSE_NOTIFY

_READ_BYTES = 256 * 1024


class TlsStream(asyncio.Transport, asyncio.Protocol):
    """The protocol of a socket, and the transport of a connection.

    Args:
        context: certificates and versions.
        server_name: checked against the certificate, and sent as SNI unless it is an address.
        protocol: is connected once the handshake is done.

    Attributes:
        ready: done with the handshake, or fails with an ``OSError`` that says why.

    Raises:
        ValueError: a name that no certificate can have.
    """

    def __init__(
        self, context: ssl.SSLContext, server_name: str, protocol: asyncio.Protocol
    ) -> None:
        super().__init__()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)
        self._protocol: asyncio.Protocol | None = protocol
        self._socket: asyncio.Transport | None = None
        self._open = self._ended = False
        self._error: ssl.SSLError | None = None
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # ── as the protocol of the socket ────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake."""
        self._socket = cast("asyncio.Transport", transport)
        self._socket.set_write_buffer_limits(0)  # see Connection.connection_made
        self._handshake()

    def data_received(self, data: bytes) -> None:
        """Decrypt what came and pass it on as one piece."""
        self._incoming.write(data)
        if not self._open:
            self._handshake()
        if not self._open:
            return
        pieces = self._read()
        self._flush()
        if pieces and self._protocol is not None:
            self._protocol.data_received(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if (self._ended or self._error is not None) and self._socket is not None:
            self._socket.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the connection how it ended: None is an end that the server has said."""
        error: Exception | None = self._error or exc
        if not self._open:
            self._fail(error or ConnectionResetError(HANDSHAKE_ENDED))
        elif self._protocol is not None:
            if error is None and not self._ended:
                error = ConnectionResetError(NO_CLOSE_NOTIFY)
            self._protocol.connection_lost(error)
        self._protocol = None  # it refers to this object

    def pause_writing(self) -> None:
        """The system does not take all of it at once."""
        if self._open and self._protocol is not None:
            self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """The system has taken the rest."""
        if self._open and self._protocol is not None:
            self._protocol.resume_writing()

    # ── as the transport of the connection ───────────────────────────────────────────────────

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._tls.write(rest) :]
        except ssl.SSLError as error:
            self._error = error
            self.abort()
            return
        self._flush()

    def get_write_buffer_size(self) -> int:
        """Encrypted bytes that the system has not taken."""
        return 0 if self._socket is None else self._socket.get_write_buffer_size()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing: those of the socket are set."""

    def is_closing(self) -> bool:
        """Whether it has ended or is about to."""
        return self._socket is None or self._socket.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What the socket knows, and ``ssl_object``."""
        if name == "ssl_object":
            return self._tls
        return default if self._socket is None else self._socket.get_extra_info(name, default)

    def close(self) -> None:
        """As :meth:`abort`."""
        self.abort()

    def abort(self) -> None:
        """End it at once; an idle connection is ended in form, without waiting for an answer."""
        if not self._open and not self.ready.cancel() and not self.ready.cancelled():
            self.ready.exception()  # nobody may wait for it any more
        if self._socket is None or self._socket.is_closing():
            return
        if self._open and self._error is None and not self._socket.get_write_buffer_size():
            with contextlib.suppress(ssl.SSLError):  # the server's own end has not come yet
                self._tls.unwrap()
            self._flush()
        self._socket.abort()

    # ── TLS ──────────────────────────────────────────────────────────────────────────────────

    def _handshake(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLError as error:
            self._flush()  # the alert that tells the server why
            self._fail(error)
            return
        self._flush()
        self._open = True
        if self._protocol is not None:
            self._protocol.connection_made(self)
        if not self.ready.done():
            self.ready.set_result(None)

    def _read(self) -> list[bytes]:
        """Everything that can be decrypted by now; notes an end and an error."""
        pieces: list[bytes] = []
        try:
            while self._incoming.pending or self._tls.pending():
                piece = self._tls.read(_READ_BYTES)
                if not piece:
                    self._ended = True
                    break
                pieces.append(piece)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self._ended = True
        except ssl.SSLError as error:
            self._error = error
        return pieces

    def _flush(self) -> None:
        if self._outgoing.pending and self._socket is not None:
            self._socket.write(self._outgoing.read())

    def _fail(self, error: Exception) -> None:
        if not self.ready.done():
            self.ready.set_exception(error)
        if self._socket is not None:
            self._socket.close()
