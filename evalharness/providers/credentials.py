"""What identifies us to a remote endpoint: which header carries the key, and further secrets.

Everything secret is read from an environment variable that the configuration names; what is read is
redacted in logs from then on, and no message ever holds it.
"""

from __future__ import annotations

import os
import re

from evalharness.chat_api.log_redaction import redact_in_logs
from evalharness.config.models import ProviderConfig
from evalharness.errors import ConfigError, ProviderError
from evalharness.http.redaction import Secret
from evalharness.process.environment import mark_as_secret

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# What may be shown in a message: a name as people write them, which no key looks like.
_SHOWABLE = re.compile(r"[A-Z][A-Z0-9]{0,15}(_[A-Z0-9]{1,15})*")
HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
# Headers that carry credentials: their values come from the environment only.
_CREDENTIAL_HEADERS = {
    "authorization", "proxy-authorization", "x-api-key", "api-key", "cookie", "x-auth-token",
    "x-goog-api-key", "ocp-apim-subscription-key",
}  # fmt: skip
_SECRET_NAME = re.compile(
    r"(?:^|[._-])(?:(?:api|access|subscription)?key|token|secret|password|signature|sig)$",
    re.IGNORECASE,
)
_IN_VARIABLES = (
    "name the environment variable that holds it: provider.api_key_env=NAME, with "
    "provider.auth=header:HEADER where it is no bearer token; "
    "provider.secret_headers.HEADER=NAME for further ones"
)


def sends_secrets(config: ProviderConfig) -> bool:
    """Whether requests to this provider carry a key or another secret."""
    return config.api_key_env is not None or bool(config.secret_headers)


def check_credentials(config: ProviderConfig, *, sends: bool) -> None:
    """Check headers, query and, where the command ``sends`` anything, that every secret is there.

    Raises:
        ConfigError: a header, the query or ``provider.auth`` cannot be used as written.
        ProviderError: an environment variable is missing or unusable, naming it.
    """
    check_headers(config.headers)
    _check_query(config.query)
    _check_auth(config)
    _check_secret_headers(config)
    if sends:
        if config.api_key_env is not None:
            read_key(config.api_key_env)
        read_secret_headers(config.secret_headers)


def check_headers(headers: dict[str, str]) -> None:
    """Refuse header names and values no request can carry, and headers that carry credentials.

    Raises:
        ConfigError: naming the header; its value is never shown.
    """
    for name, value in headers.items():
        if not HEADER_NAME.fullmatch(name):
            raise ConfigError(f"provider.headers: {name!r} is not a header name")
        is_secret = _SECRET_NAME.search(name) and name.lower() != "idempotency-key"
        if is_secret or name.lower() in _CREDENTIAL_HEADERS:
            raise ConfigError(
                f"provider.headers.{name}: configuration is saved beside the results, so it may "
                "hold no key",
                hint=_IN_VARIABLES,
            )
        if not value.isascii() or not value.isprintable() or value != value.strip():
            raise ConfigError(
                f"provider.headers.{name}: the value has characters a header cannot carry"
            )


def _check_auth(config: ProviderConfig) -> None:
    """Refuse a way of sending the key that does not exist, or that has no key to send."""
    kind, _, name = config.auth.partition(":")
    if not (
        config.auth in ("bearer", "none") or (kind == "header" and HEADER_NAME.fullmatch(name))
    ):
        raise ConfigError(
            "provider.auth must be bearer, none or header:NAME",
            hint="provider.auth=header:api-key, for instance",
        )
    if config.auth == "none" and config.api_key_env is not None:
        raise ConfigError(
            "provider.auth=none sends no key, and provider.api_key_env names one",
            hint="provider.api_key_env=null, or provider.auth=bearer",
        )
    if kind == "header" and config.api_key_env is None:
        raise ConfigError(
            f"provider.auth={config.auth} has no key to send",
            hint="provider.api_key_env=NAME, the name of the environment variable with the key",
        )


def _check_secret_headers(config: ProviderConfig) -> None:
    """Refuse names no header can have, and headers that would be sent twice."""
    sent = {name.lower() for name in config.headers}
    if config.api_key_env is not None:
        sent.add(
            "authorization" if config.auth == "bearer" else config.auth.partition(":")[2].lower()
        )
    for name in config.secret_headers:
        if not HEADER_NAME.fullmatch(name):
            raise ConfigError(f"provider.secret_headers: {name!r} is not a header name")
        if name.lower() in sent:
            raise ConfigError(
                f"provider.secret_headers.{name}: this header is already sent",
                hint="a header comes from one of provider.auth, headers and secret_headers",
            )


def _check_query(query: dict[str, str]) -> None:
    for name in query:
        if _SECRET_NAME.search(name):
            raise ConfigError(
                f"provider.query.{name}: an address is written to logs, so it may hold no key",
                hint=_IN_VARIABLES,
            )


def read_key(variable: str) -> Secret:
    """The key from the environment variable of this name.

    Raises:
        ConfigError: that is no name of a variable (the text is not repeated: it may be a key).
        ProviderError: the variable is not set, empty, or holds what no header can carry.
    """
    value = _read(variable, "provider.api_key_env", "AIMLAPI_API_KEY")
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ProviderError(
            f"the environment variable {variable} holds characters that no key has",
            hint=f"set {variable} again: a line break or a typographic quote may have slipped in",
        )
    return _secret(value)


def read_secret_headers(variables: dict[str, str]) -> dict[str, Secret]:
    """The values of secret headers, by header; ``variables`` names where each is.

    Raises:
        ConfigError: that is no name of a variable.
        ProviderError: a variable is not set, empty, or holds what no header can carry.
    """
    secrets: dict[str, Secret] = {}
    for header, variable in variables.items():
        value = _read(variable, f"provider.secret_headers.{header}", "GATEWAY_TOKEN")
        if not value.isascii() or not value.isprintable():
            raise ProviderError(
                f"the environment variable {variable} holds characters that no header can carry",
                hint=f"set {variable} again",
            )
        secrets[header] = _secret(value)
    return secrets


def _read(variable: str, key: str, example: str) -> str:
    mark_as_secret(variable)
    value = os.environ.get(variable, "").strip() if _VARIABLE.fullmatch(variable) else ""
    if not value and not _SHOWABLE.fullmatch(variable):
        raise ConfigError(
            f"{key} must be the name of an environment variable, and no variable has "
            "the name given (it is not shown, since it may be a key)",
            hint=f"{key}={example}, for instance; never the key itself",
        )
    if not value:
        raise ProviderError(
            f"the environment variable {variable} holds no key",
            hint=f"export {variable}=… (your key), then run the same command again",
        )
    return value


def _secret(value: str) -> Secret:
    secret = Secret(value)
    for part in secret.parts():
        redact_in_logs(part)
    return secret
