"""URLs of Unix sockets: ``unix:///run/vllm.sock:/v1``, the socket's path, a colon, the URL's path.

The form of nginx's ``proxy_pass``. Requests name ``localhost`` as their host.
"""

from __future__ import annotations

from urllib.parse import unquote

SCHEME = "unix:"
_START = "unix://"
# Of the system's address structure, whose last byte is a zero.
_MAX_PATH_BYTES = 107


def is_unix_url(url: str) -> bool:
    """Whether a URL names a socket of this machine."""
    return url[: len(SCHEME)].lower() == SCHEME


def split_unix_url(url: str) -> tuple[str, str]:
    """The path of the socket, and the path of the URL, empty where none was given.

    Raises:
        ValueError: what is wrong, as the end of a sentence about the URL.
    """
    rest = url[len(_START) :]
    if url[: len(_START)].lower() != _START or not rest.startswith("/"):
        raise ValueError("does not name a socket by its absolute path, as unix:///run/x.sock:/v1")
    socket_path, colon, path = rest.partition(":/")
    socket_path = unquote(socket_path.removesuffix(":"))
    if "\0" in socket_path or len(socket_path.encode()) > _MAX_PATH_BYTES:
        raise ValueError(f"names a socket with a path over {_MAX_PATH_BYTES} bytes")
    if socket_path.endswith("/"):
        raise ValueError("names a folder, not a socket")
    return socket_path, f"/{path}" if colon else ""
