"""Remote endpoints: the checks before anything is sent.

Nothing here sends a request. A key is read from the environment variable that the configuration
names, and no message ever holds a key, also when somebody has put one where a name belongs.
"""

from __future__ import annotations

import os
import re
from urllib.parse import SplitResult, urlsplit

from evalharness.chat_api.log_redaction import redact_in_logs
from evalharness.config.models import ProviderConfig
from evalharness.errors import ConfigError, ProviderError
from evalharness.http.loopback import is_loopback
from evalharness.http.redaction import Secret
from evalharness.process.environment import mark_as_secret

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# What may be shown in a message: a name as people write them, which no key looks like.
_SHOWABLE = re.compile(r"[A-Z][A-Z0-9]{0,15}(_[A-Z0-9]{1,15})*")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
# Headers that carry credentials have one way in: provider.api_key_env.
_CREDENTIAL_HEADERS = {"authorization", "proxy-authorization", "x-api-key", "api-key", "cookie"}
_ENDPOINT_PATH = "/chat/completions"
_DEFAULT_PORTS = {"https": 443, "http": 80}


def check(config: ProviderConfig, *, sends: bool = True) -> None:
    """Check URL, headers and, where the command ``sends`` anything, the key of a remote provider.

    Raises:
        ConfigError: the URL or a header cannot be used as written, naming the key.
        ProviderError: the key's environment variable is missing or unusable, naming the variable.
    """
    url = normalised_base_url(config)
    check_headers(config.headers)
    if config.api_key_env is None:
        if not is_loopback(urlsplit(url).hostname or ""):
            raise ConfigError(
                f"provider.api_key_env is not set, and {url} is not on this machine",
                hint="provider.api_key_env=NAME, the name of the environment variable with the key",
            )
        return
    if sends:
        read_key(config.api_key_env)


def normalised_base_url(config: ProviderConfig) -> str:
    """The base URL in one spelling: lower-case host, no default port, no slash at the end.

    It is the identity of the endpoint, so two spellings of one address must not make two.

    Raises:
        ConfigError: it is missing, malformed, holds credentials, or is plain http off this machine.
    """
    text = config.base_url
    if not text or text == "???":
        raise ConfigError(
            f"provider.base_url is missing for provider {config.name!r}",
            hint="provider.base_url=http://127.0.0.1:8000/v1, for instance",
        )
    parts, host = _split(text)
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigError(
            f"provider.base_url: {text!r} is not encrypted; http is for this machine only",
            hint=f"provider.base_url=https{text[4:]}",
        )
    path = parts.path.rstrip("/")
    if path.endswith(_ENDPOINT_PATH):
        raise ConfigError(
            f"provider.base_url: {text!r} is the address of one method",
            hint=f"provider.base_url={text.rstrip('/').removesuffix(_ENDPOINT_PATH)}",
        )
    shown = f"[{host}]" if ":" in host else host
    port = parts.port
    at_port = "" if port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{port}"
    return f"{parts.scheme}://{shown}{at_port}{path}"


def _split(text: str) -> tuple[SplitResult, str]:
    """Split a URL into its parts; refuse what no base URL may have."""
    problem: str | None = None
    parts: SplitResult | None = None
    if not text.isascii() or any(c <= " " or c == "\x7f" for c in text):
        problem = "holds spaces, control or non-ASCII characters"
    else:
        try:
            parts = urlsplit(text)
            _ = parts.port  # raises for an invalid port
        except ValueError as error:
            problem = str(error)
    if parts is not None and problem is None:
        if parts.username is not None or parts.password is not None:
            # The URL is not shown: it holds a secret.
            raise ConfigError(
                "provider.base_url holds a user name or password",
                hint="name the variable that holds the key: provider.api_key_env=NAME",
            )
        if parts.scheme not in _DEFAULT_PORTS:
            problem = "does not begin with https:// or http://"
        elif not parts.hostname:
            problem = "names no host"
        elif parts.query or parts.fragment or text.endswith(("?", "#")):
            problem = "has a query or fragment"
    if problem is not None or parts is None or parts.hostname is None:
        raise ConfigError(
            f"provider.base_url: {text!r} {problem}", hint="for instance https://host/v1"
        )
    return parts, parts.hostname


def check_headers(headers: dict[str, str]) -> None:
    """Refuse header names and values no request can carry, and headers that carry credentials.

    Raises:
        ConfigError: naming the header; its value is never shown.
    """
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise ConfigError(f"provider.headers: {name!r} is not a header name")
        if name.lower() in _CREDENTIAL_HEADERS:
            raise ConfigError(
                f"provider.headers.{name}: configuration is saved beside the results, so it may "
                "hold no key",
                hint="provider.api_key_env=NAME, the name of the environment variable with the key",
            )
        if not value.isascii() or not value.isprintable() or value != value.strip():
            raise ConfigError(
                f"provider.headers.{name}: the value has characters a header cannot carry"
            )


def read_key(variable: str) -> Secret:
    """The key from the environment variable of this name.

    Raises:
        ConfigError: that is no name of a variable (the text is not repeated: it may be a key).
        ProviderError: the variable is not set, empty, or holds what no header can carry.
    """
    mark_as_secret(variable)
    value = os.environ.get(variable, "").strip() if _VARIABLE.fullmatch(variable) else ""
    if not value and not _SHOWABLE.fullmatch(variable):
        raise ConfigError(
            "provider.api_key_env must be the name of an environment variable, and no variable has "
            "the name given (it is not shown, since it may be a key)",
            hint="provider.api_key_env=AIMLAPI_API_KEY, for instance; never the key itself",
        )
    if not value:
        raise ProviderError(
            f"the environment variable {variable} holds no key",
            hint=f"export {variable}=… (your key), then run the same command again",
        )
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ProviderError(
            f"the environment variable {variable} holds characters that no key has",
            hint=f"set {variable} again: a line break or a typographic quote may have slipped in",
        )
    secret = Secret(value)
    redact_in_logs(secret)
    return secret
