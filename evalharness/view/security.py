"""What stands before every page: who may ask, what may be changed, what a page may load.

The server listens on this machine alone unless a host is given, but any page in the same browser
can send requests to it. So the ``Host`` header must be one of ours (a name that was rebound to
this address is not), nothing is changed without a token that only our own pages know, and a
content policy keeps whatever a model wrote from running or loading anything.
"""

from __future__ import annotations

import ipaddress
import secrets
import socket
import sys
import traceback
from http import HTTPStatus
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from evalharness.view.settings import ViewSettings

CSRF_HEADER = "x-csrf-token"
POLICY = "; ".join(
    (
        "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:",
        "connect-src 'self'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'",
    )
)  # fmt: skip
_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_SAFE = {"GET", "HEAD"}
_LOOPBACK_NAMES = {"localhost", "127.0.0.1", "::1"}


class Guard:
    """The outermost part of the application: refuses what is not allowed, and adds headers.

    Args:
        app: the application.
        settings: what may be seen and changed.
        csrf: the token that a change must carry in the header ``X-CSRF-Token``.
    """

    def __init__(self, app: ASGIApp, settings: ViewSettings, csrf: str) -> None:
        self._app = app
        self._settings = settings
        self._csrf = csrf
        self._names = _own_names(settings.host)
        self._cookie = f"evalharness_view_{settings.port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return  # there are no web sockets, and nothing to start or end
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        answer = self._refuse(scope) or self._admit(scope)
        try:
            await (answer or self._app)(scope, receive, send_with_headers)
        except Exception:
            traceback.print_exc(file=sys.stderr)
            if started:
                raise  # the connection is closed: half a page must not pass for a whole one
            failed = PlainTextResponse("this page failed; the terminal says why", 500)
            await failed(scope, receive, send_with_headers)

    def _refuse(self, scope: Scope) -> Response | None:
        """What is wrong with a request, whoever sent it; None where nothing is."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._is_own(host):
            return _refusal(
                HTTPStatus.MISDIRECTED_REQUEST,
                "this address does not belong to evalharness view: use the link it printed",
            )
        if scope["method"] in _SAFE:
            return None
        if self._settings.is_read_only:
            return _refusal(
                HTTPStatus.FORBIDDEN, "nothing can be changed: start it with --marks or --control"
            )
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return _refusal(HTTPStatus.FORBIDDEN, "this change comes from another page")
        if not _equal(headers.get(CSRF_HEADER, ""), self._csrf):
            return _refusal(HTTPStatus.FORBIDDEN, "this page is from before: open it again")
        return None

    def _is_own(self, host: str) -> bool:
        """Whether a ``Host`` header names this server."""
        try:
            parts = urlsplit(f"//{host}")
            name, _ = parts.hostname, parts.port
        except ValueError:
            return False
        if name is None or parts.netloc != host or "@" in host:
            return False
        if name in self._names:
            return True
        # A name can be made to lead here by anybody; an address cannot.
        return self._settings.token is not None and _is_address(name)

    def _admit(self, scope: Scope) -> Response | None:
        """Ask for the token where there is one; the link that has it leaves a cookie."""
        token = self._settings.token
        if token is None:
            return None
        cookies = cookie_parser(Headers(scope=scope).get("cookie", ""))
        if _equal(cookies.get(self._cookie, ""), token):
            return None
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if scope["method"] not in _SAFE or not any(
            name == "token" and _equal(value, token) for name, value in query
        ):
            return _refusal(
                HTTPStatus.FORBIDDEN, "open the link that evalharness view printed, with its token"
            )
        rest = urlencode([(name, value) for name, value in query if name != "token"])
        # As it was sent: a decoded `%2F` would be another address.
        path = scope["raw_path"].decode("latin-1")
        # A path that begins with two slashes would lead to another host.
        answer = RedirectResponse("/" + path.lstrip("/") + (f"?{rest}" if rest else ""), 303)
        answer.set_cookie(self._cookie, token, httponly=True, samesite="lax")
        return answer


def make_token() -> str:
    """A token that cannot be guessed."""
    return secrets.token_urlsafe(24)


def _equal(typed: str, token: str) -> bool:
    return secrets.compare_digest(typed.encode(), token.encode())


def _refusal(status: HTTPStatus, reason: str) -> Response:
    return PlainTextResponse(f"{reason}\n", status)


def _own_names(host: str) -> set[str]:
    """The names in a ``Host`` header that mean this server."""
    if host.casefold() in _LOOPBACK_NAMES:
        return _LOOPBACK_NAMES
    this_machine = {socket.gethostname().casefold(), socket.getfqdn().casefold()}
    return _LOOPBACK_NAMES | this_machine | {host.casefold()}


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
