"""The client of one endpoint: adds the key to requests and redacts it in replies."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from evalharness.chat_api.errors.refused_parameter import with_other_protocol, with_remedy
from evalharness.chat_api.lenient_json import as_count
from evalharness.chat_api.protocol import ApiProtocol
from evalharness.chat_api.protocols import get_protocol
from evalharness.chat_api.response import interpret
from evalharness.config.models import Profile
from evalharness.errors import ConfigError
from evalharness.http.exchange import REQUEST_ID_HEADER, STREAM_FLAG, Exchange, Transport
from evalharness.http.loopback import is_loopback
from evalharness.http.redaction import Redactor, Secret
from evalharness.http.unix_url import is_unix_url
from evalharness.records import Prompt, Reply

_CLIENT_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
# How a request body (canonical JSON) asks for several choices.
_CHOICES_FLAG = b'"n":'
_NO_SUCH_METHOD = (404, 405)
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

_CHAT = get_protocol("chat")


#: Stands for the model's name in a base URL, for endpoints that have one address a model.
MODEL_IN_PATH = "{model}"


class _RequestForm(msgspec.Struct):
    model: str = ""
    stream: bool | None = None
    n: Any = None


_form = msgspec.json.Decoder(_RequestForm)


class ChatClient:
    """Posts requests to one endpoint.

    Args:
        transport: an open transport.
        base_url: what the protocol's path is appended to, e.g. ``https://api.aimlapi.com/v1``;
            ``{model}`` in it is the model's name.
        key: None sends none.
        headers: more headers, for every request.
        auth: how the key is sent: ``bearer`` (in the Authorization header), or ``header:NAME``.
        secret_headers: more headers, whose values are redacted in replies.
        query: of every request's address, by name.
        allow_plain_http: secrets may travel unencrypted to another machine.
        profile: how the provider's errors are classified.
        protocol: that the endpoint speaks.

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
        auth: str = "bearer",
        secret_headers: Mapping[str, Secret] = MappingProxyType({}),
        query: Mapping[str, str] = MappingProxyType({}),
        allow_plain_http: bool = False,
        protocol: ApiProtocol = _CHAT,
    ) -> None:
        self._transport = transport
        self._base_url, self._query = base_url, query
        self._exposed = (key is not None or bool(secret_headers)) and not allow_plain_http
        self._url = self.address(protocol.path)
        self._model_in_path = MODEL_IN_PATH in self._url
        self._profile = profile
        self._protocol = protocol
        self._headers = {
            **protocol.headers,
            **_check_headers(headers, has_key=key is not None),
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
        }
        secrets = dict(secret_headers)
        if key is not None:
            _check_value(key)
            if auth == "bearer":
                self._headers["authorization"] = f"Bearer {key.reveal()}"
            else:
                secrets[auth.removeprefix("header:")] = key
        for name, secret in secrets.items():
            _check_value(secret)
            if not _NAME.fullmatch(name) or name.lower() in _OWN_HEADERS - {"authorization"}:
                key_name = "auth" if auth == f"header:{name}" else f"secret_headers.{name}"
                raise ConfigError(
                    f"`provider.{key_name}`: {name} cannot be set as a header",
                    hint="headers of the transfer itself are not for keys; use another header",
                )
            self._headers[name.lower()] = secret.reveal()
        everything = [part for s in (key, *secrets.values()) if s for part in s.parts()]
        self._redactor = Redactor(everything) if everything else None
        self._secrets = everything

    @property
    def protocol(self) -> ApiProtocol:
        """That the endpoint speaks."""
        return self._protocol

    @property
    def headers(self) -> Mapping[str, str]:
        """Those of every request, the key among them."""
        return self._headers

    def key_fingerprint(self, salt: str) -> str | None:
        """Tells one key from another, and shows nothing of it; None without a key.

        Args:
            salt: a random text that is kept beside it.
        """
        if not self._secrets:
            return None
        text = "\0".join([salt, *sorted(secret.reveal() for secret in self._secrets)])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def redactor(self) -> Redactor | None:
        """Removes the key from what a server says; None without a key."""
        return self._redactor

    def address(self, path: str) -> str:
        """The address of another method of the endpoint, such as ``/batches``."""
        return _request_url(self._base_url, path, self._query, exposed=self._exposed)

    async def complete(
        self,
        body: bytes,
        client_request_id: str,
        *,
        prompt: Prompt | None = None,
        keep_chunk_times: bool = False,
    ) -> Reply:
        """Send one request and classify its exchange.

        Args:
            body: a request body from :func:`evalharness.chat_api.request_body.build_body`.
            client_request_id: 1–128 characters of ``A-Za-z0-9._:-``, sent as
                ``X-Client-Request-Id``: a provider may silently drop any other form.
            prompt: not used; a function gets it (:mod:`evalharness.providers.python`).
            keep_chunk_times: keep the arrival time of every content chunk.

        Raises:
            ValueError: ``client_request_id`` has another form.
        """
        if not _CLIENT_ID.fullmatch(client_request_id):
            raise ValueError("a client request id is 1 to 128 characters of A-Za-z0-9._:-")
        # Either can also be in a nested field; without them there is nothing to decode.
        url = self._url
        mentioned = STREAM_FLAG in body or _CHOICES_FLAG in body or self._model_in_path
        form = _form.decode(body) if mentioned else _RequestForm()
        if self._model_in_path:
            url = url.replace(MODEL_IN_PATH, quote(form.model, safe=""))
        exchange = await self._transport.post(url, self._headers, body, client_request_id)
        return self._read(exchange, body, form, keep_chunk_times=keep_chunk_times)

    def read(self, exchange: Exchange, body: bytes) -> Reply:
        """Classify an exchange that another way brought, such as a line of a batch's results.

        Args:
            exchange: its status and its body.
            body: of the request that it answers.
        """
        return self._read(exchange, body, _form.decode(body), keep_chunk_times=False)

    def _read(
        self, exchange: Exchange, body: bytes, form: _RequestForm, *, keep_chunk_times: bool
    ) -> Reply:
        reply = interpret(
            exchange,
            streamed=form.stream is True,
            n=as_count(form.n) or 1,
            keep_chunk_times=keep_chunk_times,
            redactor=self._redactor,
            profile=self._profile,
            protocol=self._protocol,
        )
        if reply.http_status in _NO_SUCH_METHOD and not self._protocol.is_chat:
            return with_other_protocol(reply, self._protocol.title)
        return with_remedy(reply, body, self._protocol.parameter_names, self._protocol.lacks)


def _check_value(secret: Secret) -> None:
    if not secret.reveal() or not _VALUE.fullmatch(secret.reveal()):
        raise ConfigError(
            "the key holds characters that cannot be sent in a header (or nothing at all)",
            hint="check the environment variable for spaces, quotes or line ends",
        )


def _request_url(base_url: str, path: str, query: Mapping[str, str], *, exposed: bool) -> str:
    if is_unix_url(base_url):  # no key leaves the machine
        return _with_query(base_url + path, query)
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
    if exposed and parts.scheme != "https" and not is_loopback(host):
        raise ConfigError(
            f"`provider.base_url` would send the key unencrypted to {host}",
            hint="use https, or no key (provider.api_key_env=null), or "
            "provider.allow_plain_http=true where the network between is trusted",
        )
    return _with_query(base_url.rstrip("/") + path, query)


def _with_query(url: str, query: Mapping[str, str]) -> str:
    return f"{url}?{urlencode(query)}" if query else url


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
