"""Remote endpoints: the checks before anything is sent.

Nothing here sends a request. Keys and headers are checked in :mod:`.credentials`.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, quote, urlencode, urlsplit

from msgspec import structs

from evalharness.chat_api.client import MODEL_IN_PATH
from evalharness.config.models import ProtocolName, ProviderConfig
from evalharness.errors import ConfigError
from evalharness.http.loopback import is_loopback, is_this_machine
from evalharness.http.unix_url import is_unix_url, split_unix_url
from evalharness.providers.credentials import check_credentials, sends_secrets
from evalharness.providers.tls import check_tls

# By protocol: what a base URL must not end in.
_METHOD_PATHS: dict[ProtocolName, str] = {
    "chat": "/chat/completions",
    "responses": "/responses",
    "messages": "/messages",
}
_DEFAULT_PORTS = {"https": 443, "http": 80}


def check(config: ProviderConfig, *, sends: bool = True) -> None:
    """Check URL, headers and, where the command ``sends`` anything, the key of a remote provider.

    Raises:
        ConfigError: the URL or a header cannot be used as written, naming the key.
        ProviderError: the key's environment variable is missing or unusable, naming the variable.
    """
    urls = base_urls(config)
    check_credentials(config, sends=sends)
    schemes = {urlsplit(url).scheme for url in urls}
    if len(schemes) > 1:
        raise ConfigError(
            f"provider.base_urls mixes {' and '.join(sorted(schemes))} for one endpoint",
            hint="addresses of one kind; another kind is another provider",
        )
    scheme = schemes.pop()
    check_tls(config, scheme=scheme, sends=sends)
    keyless = config.auth == "none" or sends_secrets(config) or scheme == "http"
    elsewhere = [url for url in urls if not is_this_machine(url)]
    if not keyless and elsewhere:
        raise ConfigError(
            f"provider.api_key_env is not set, and {elsewhere[0]} is not on this machine",
            hint="provider.api_key_env=NAME, the name of the environment variable with the key; "
            "provider.auth=none where the endpoint needs none",
        )


def identity(config: ProviderConfig) -> str:
    """Which endpoint this is: its base URLs, with the query that its requests have."""
    query = urlencode(sorted(config.query.items()))
    return " ".join(sorted(base_urls(config))) + (f"?{query}" if query else "")


def base_urls(config: ProviderConfig) -> tuple[str, ...]:
    """The addresses that stand for the endpoint, each as of :func:`normalised_base_url`.

    Raises:
        ConfigError: one is wrong, two are equal, or there is ``base_url`` as well.
    """
    if len(config.base_urls) < 2:
        for key in ("routing", "affinity"):
            _refuse_routing(config, key)
    if not config.base_urls:
        return (normalised_base_url(config),)
    if config.base_url is not None:
        raise ConfigError(
            f"provider.base_url={config.base_url}, and provider.base_urls has addresses, too",
            hint="provider.base_url=null",
        )
    urls = tuple(
        normalised_base_url(structs.replace(config, base_url=url)) for url in config.base_urls
    )
    if twice := [url for url in urls if urls.count(url) > 1]:
        raise ConfigError(
            f"provider.base_urls has {twice[0]} twice", hint="provider.base_urls with each once"
        )
    return urls


def _refuse_routing(config: ProviderConfig, key: str) -> None:
    value = getattr(config, key)
    if value not in ("round_robin", "session"):
        raise ConfigError(
            f"provider.{key}={value} chooses among several addresses, and there is one",
            hint="provider.base_urls=[http://HOST:8000/v1,http://HOST:8001/v1]",
        )


def normalised_base_url(config: ProviderConfig) -> str:
    """The base URL in one spelling: lower-case host, no default port, no slash at the end.

    It is the identity of the endpoint, so two spellings of one address must not make two.

    Raises:
        ConfigError: it is missing, malformed, holds credentials, or would carry a key unencrypted
            to another machine without ``provider.allow_plain_http``.
    """
    text = config.base_url
    if not text or text == "???":
        raise ConfigError(
            f"provider.base_url is missing for provider {config.name!r}",
            hint="provider.base_url=http://127.0.0.1:8000/v1, for instance",
        )
    if is_unix_url(text):
        return _normalised_unix_url(text)
    parts, host = _split(text)
    exposed = sends_secrets(config) and not config.allow_plain_http
    if parts.scheme == "http" and exposed and not is_loopback(host):
        raise ConfigError(
            f"provider.base_url: {text!r} is not encrypted: everybody on the way to {host} could "
            "read the key",
            hint=f"provider.base_url=https{text[4:]}; provider.allow_plain_http=true where the "
            "network between is trusted; provider.api_key_env=null where no key is needed",
        )
    path = parts.path.rstrip("/")
    for protocol, method in _METHOD_PATHS.items():
        if path.endswith(method):
            raise ConfigError(
                f"provider.base_url: {text!r} is the address of one method",
                hint=f"provider.base_url={text.rstrip('/').removesuffix(method)}"
                + ("" if protocol == config.protocol else f" provider.protocol={protocol}"),
            )
    shown = f"[{host}]" if ":" in host else host
    port = parts.port
    at_port = "" if port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{port}"
    return f"{parts.scheme}://{shown}{at_port}{path}"


def _normalised_unix_url(text: str) -> str:
    """With a colon behind the socket's path, also where no path of a URL follows."""
    try:
        if not text.isascii() or not text.isprintable() or set(text) & set(" ?#"):
            raise ValueError("holds spaces, a query, a fragment or non-ASCII characters")
        socket_path, path = split_unix_url(text)
    except ValueError as error:
        raise ConfigError(
            f"provider.base_url: {text!r} {error}",
            hint="provider.base_url=unix:///run/vllm.sock:/v1, for instance",
        ) from None
    return f"unix://{quote(socket_path)}:{path.rstrip('/')}"


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
    if parts is not None and parts.query:
        raise ConfigError(
            # The query is not shown: it may hold a secret.
            f"provider.base_url: {text.partition('?')[0]!r} has a query or fragment",
            hint="its parts go into provider.query.NAME=VALUE",
        )
    if problem is None and re.search(r"[{}]", text.replace(MODEL_IN_PATH, "")):
        problem = f"has braces other than {MODEL_IN_PATH}, which stands for the model's name"
    if problem is not None or parts is None or parts.hostname is None:
        raise ConfigError(
            f"provider.base_url: {text!r} {problem}", hint="for instance https://host/v1"
        )
    return parts, parts.hostname
