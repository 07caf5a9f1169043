"""The client of one endpoint: adds the key to requests and redacts it in replies."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import msgspec

from evalharness.chat_api.response import interpret
from evalharness.config.models import Profile
from evalharness.errors import ConfigError
from evalharness.http.exchange import REQUEST_ID_HEADER, STREAM_FLAG, Transport
from evalharness.http.loopback import is_loopback
from evalharness.http.redaction import Redactor, Secret
from evalharness.records import Reply

_CLIENT_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(r"[\x20-\x7e]*")
# Set by the client itself, or by the HTTP library from what is really sent.
_OWN_HEADERS = frozenset(
    {
        "accept",
        "accept-encoding",
        "authorization",
        "content-length",
        "content-type",
        "host",
        "transfer-encoding",
        REQUEST_ID_HEADER,
    }
)


class _StreamFlag(msgspec.Struct):
    stream: bool | None = None


_form = msgspec.json.Decoder(_StreamFlag)


class ChatClient:
    """Posts chat completions to one endpoint.

    Args:
        transport: an open transport.
        base_url: what ``/chat/completions`` is appended to, e.g. ``https://api.aimlapi.com/v1``.
        key: sent as a bearer token; None sends no Authorization header.
        headers: more headers, for every request.
        profile: how the provider's errors are classified.

    Raises:
        ConfigError: a URL that cannot be used, a key that would travel unencrypted to another
            machine, a header that cannot be sent. The key is in no message.
    """

    def __init__(
        self,
        transport: Transport,
        base_url: str,
        *,
        key: Secret | None,
        headers: dict[str, str],
        profile: Profile,
    ) -> None:
        self._transport = transport
        self._url = _completions_url(base_url, has_key=key is not None)
        self._profile = profile
        self._headers = {
            **_check_headers(headers, has_key=key is not None),
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
        }
        self._redactor: Redactor | None = None
        if key is not None:
            if not key.reveal() or not _VALUE.fullmatch(key.reveal()):
                raise ConfigError(
                    "the key holds characters that cannot be sent in a header (or nothing at all)",
                    hint="check the environment variable for spaces, quotes or line ends",
                )
            self._headers["authorization"] = f"Bearer {key.reveal()}"
            self._redactor = Redactor([key])

    async def complete(
        self, body: bytes, client_request_id: str, *, keep_chunk_times: bool = False
    ) -> Reply:
        """Send one request and classify its exchange.

        Args:
            body: a request body from :func:`evalharness.chat_api.request_body.build_body`.
            client_request_id: 1–128 characters of ``A-Za-z0-9._:-``, sent as
                ``X-Client-Request-Id``: a provider may silently drop any other form.
            keep_chunk_times: keep the arrival time of every content chunk.

        Raises:
            ValueError: ``client_request_id`` has another form.
        """
        if not _CLIENT_ID.fullmatch(client_request_id):
            raise ValueError("a client request id is 1 to 128 characters of A-Za-z0-9._:-")
        # The flag can also be in a nested field; without it there is nothing to decode.
        streamed = STREAM_FLAG in body and _form.decode(body).stream is True
        exchange = await self._transport.post(self._url, self._headers, body, client_request_id)
        return interpret(
            exchange,
            streamed=streamed,
            keep_chunk_times=keep_chunk_times,
            redactor=self._redactor,
            profile=self._profile,
        )


def _completions_url(base_url: str, *, has_key: bool) -> str:
    try:
        parts = urlsplit(base_url)
        host = parts.hostname
        _ = parts.port  # raises for an invalid port
    except ValueError:
        raise ConfigError("`provider.base_url` is not a URL") from None
    # The URL itself is not shown before this check: a password may be in it.
    if parts.username is not None or parts.password is not None:
        raise ConfigError(
            "`provider.base_url` holds a user name or password",
            hint="put the key into an environment variable and name it in provider.api_key_env",
        )
    if parts.scheme not in ("http", "https") or not host or re.search(r"[\s\x00-\x1f]", base_url):
        raise ConfigError(
            f"`provider.base_url` must be an http or https URL, got {base_url!r}",
            hint="for example https://api.aimlapi.com/v1",
        )
    if parts.query or parts.fragment:
        raise ConfigError(f"`provider.base_url` must not have a query or fragment: {base_url!r}")
    if has_key and parts.scheme != "https" and not is_loopback(host):
        raise ConfigError(
            f"`provider.base_url` would send the key unencrypted to {host}",
            hint="use https, or no key (provider.api_key_env=null)",
        )
    return base_url.rstrip("/") + "/chat/completions"


def _check_headers(headers: dict[str, str], *, has_key: bool) -> dict[str, str]:
    checked: dict[str, str] = {}
    for name, value in headers.items():
        lower = name.lower()
        if lower in _OWN_HEADERS and (lower != "authorization" or has_key):
            raise ConfigError(f"`provider.headers.{name}` is set by the client itself")
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ConfigError(f"`provider.headers.{name}` cannot be sent as an HTTP header")
        checked[lower] = value
    return checked
