"""Endpoints elsewhere: addresses, keys and headers."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from evalharness.config.models import ProviderConfig
from evalharness.config.validation import convert
from evalharness.errors import ConfigError, EvalharnessError, ProviderError
from evalharness.providers import check_provider, open_endpoint, provider_identity

KEY = "canary0123456789abcdef0123456789"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", KEY)


def remote(**changes: Any) -> ProviderConfig:
    fields: dict[str, Any] = {
        "kind": "remote",
        "name": "some",
        "model": "m",
        "base_url": "https://api.example.com/v1",
        "api_key_env": "SOME_API_KEY",
    }
    return ProviderConfig(**(fields | changes))


async def test_an_endpoint_holds_what_a_sender_needs() -> None:
    """Opening a remote provider sends nothing and hands over URL, key, headers and profile."""
    config = remote(headers={"X-Title": "evalharness"})
    async with open_endpoint(config, say=print) as endpoint:
        assert endpoint.base_url == endpoint.identity == "https://api.example.com/v1"
        assert endpoint.key is not None
        assert endpoint.key.reveal() == KEY
        assert endpoint.headers == {"X-Title": "evalharness"}
        assert endpoint.profile is config.profile
        assert endpoint.concurrency_hint is None
        assert KEY not in repr(endpoint)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com/v1/",
        "HTTPS://API.Example.COM/v1",
        "https://api.example.com:443/v1//",
    ],
)
def test_spellings_of_one_address_are_one_endpoint(url: str) -> None:
    """Case, a default port and a closing slash do not make another endpoint."""
    assert provider_identity(remote(base_url=url)) == "https://api.example.com/v1"


@pytest.mark.parametrize(
    ("url", "identity"),
    [
        ("http://localhost:8000/v1", "http://localhost:8000/v1"),
        ("http://127.0.0.1/v1", "http://127.0.0.1/v1"),
        ("http://[::1]:9/v1", "http://[::1]:9/v1"),
        ("http://127.8.8.8:80", "http://127.8.8.8"),
        ("http://vllm:8000/v1", "http://vllm:8000/v1"),
        ("http://10.0.0.5:8000", "http://10.0.0.5:8000"),
    ],
)
def test_plain_http_needs_no_key(url: str, identity: str) -> None:
    """A server on loopback, or in a network of one's own, can be used as it is."""
    config = remote(base_url=url, api_key_env=None)
    check_provider(config)
    assert provider_identity(config) == identity


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        (None, "is missing"),
        ("", "is missing"),
        ("???", "is missing"),
        ("api.example.com/v1", "does not begin with https://"),
        ("ftp://api.example.com/v1", "does not begin with https://"),
        ("http://api.example.com/v1", "not encrypted"),
        ("http://127.0.0.1.example.com/v1", "not encrypted"),
        ("http://localhost@evil.example/v1", "user name or password"),
        ("http://10.0.0.7:8000/v1", "not encrypted"),
        ("https://", "names no host"),
        ("https://api.example.com:99999/v1", "ort"),
        ("https://api.example.com/v1?x=1", "query or fragment"),
        ("https://api.example.com/v1#", "query or fragment"),
        ("https://api.example.com/v 1", "spaces"),
        ("https://api.example.com\r\nX: y/v1", "spaces"),
        ("https://[::1/v1", "."),
        ("https://api.example.com/v1/chat/completions", "address of one method"),
        ("https://api.example.com/{deployment}/v1", "braces other than {model}"),
    ],
)
def test_a_base_url_that_cannot_be_used_is_refused(url: str | None, problem: str) -> None:
    """The message names the key; nothing is sent."""
    with pytest.raises(ConfigError, match=problem) as caught:
        check_provider(remote(base_url=url))
    assert "provider.base_url" in caught.value.message
    assert caught.value.exit_code == 2


def test_the_address_of_the_method_is_corrected_in_the_hint() -> None:
    """A pasted method URL comes back without its last part."""
    url = "https://api.example.com/v1/chat/completions/"
    with pytest.raises(ConfigError) as caught:
        check_provider(remote(base_url=url))
    assert caught.value.hint == "provider.base_url=https://api.example.com/v1"


@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_missing_key_names_the_variable(
    value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable that is unset or empty is found before anything is sent; exit 2."""
    monkeypatch.delenv("SOME_API_KEY")
    if value is not None:
        monkeypatch.setenv("SOME_API_KEY", value)
    with pytest.raises(ProviderError, match="SOME_API_KEY holds no key") as caught:
        check_provider(remote())
    assert caught.value.exit_code == 2
    assert "export SOME_API_KEY=" in str(caught.value.hint)


@pytest.mark.parametrize("value", [f"{KEY}\nX-Evil: 1", f"“{KEY}”", f"Bearer {KEY}"])
def test_a_key_no_header_can_carry_is_refused_unseen(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pasted quote or line break is told apart from a wrong key, and not shown."""
    monkeypatch.setenv("SOME_API_KEY", value)
    with pytest.raises(ProviderError, match="SOME_API_KEY") as caught:
        check_provider(remote())
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("pasted", [KEY, f"sk-{KEY}", KEY.upper(), f"sk_{KEY}", f"{KEY} "])
def test_a_key_in_the_place_of_its_name_is_not_repeated(pasted: str) -> None:
    """A key pasted where the variable's name belongs appears in no message."""
    with pytest.raises(EvalharnessError) as caught:
        check_provider(remote(api_key_env=pasted))
    assert pasted.strip() not in str(caught.value)
    assert "name of an environment variable" in str(caught.value)


def test_off_this_machine_a_key_is_needed() -> None:
    """No key is only for loopback."""
    with pytest.raises(ConfigError, match=r"provider\.api_key_env is not set"):
        check_provider(remote(api_key_env=None))


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        ({"Authorization": f"Bearer {KEY}"}, "may hold no key"),
        ({"x-api-key": KEY}, "may hold no key"),
        ({"Bad Name": "x"}, "is not a header name"),
        ({"X-A": "a\r\nX-B: b"}, "cannot carry"),
        ({"X-A": "ü"}, "cannot carry"),
    ],
)
def test_headers_hold_neither_keys_nor_line_breaks(headers: dict[str, str], problem: str) -> None:
    """Headers are saved with the configuration, so credentials are refused, unseen."""
    with pytest.raises(ConfigError, match=problem) as caught:
        check_provider(remote(headers=headers))
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("config", "key"),
    [
        (remote(model_path="x.gguf"), "model_path"),
        (remote(emulator={"seed": 1}), "emulator"),
        (ProviderConfig(kind="local", name="l", model="m", base_url="https://x/v1"), "base_url"),
        (ProviderConfig(kind="local", name="l", model="m", headers={"a": "b"}), "headers"),
        (ProviderConfig(kind="emulator", name="e", model="m", threads=1), "threads"),
    ],
)
def test_a_key_that_would_be_ignored_is_refused(config: ProviderConfig, key: str) -> None:
    """Nothing that is configured is silently without effect."""
    with pytest.raises(ConfigError, match=rf"provider\.{key} is for providers of kind"):
        check_provider(config)


# --- access that is no bearer key ---------------------------------------------------------------


def test_a_key_goes_over_plain_http_only_where_that_is_allowed() -> None:
    """The refusal gives the reason and the name of the setting that allows it."""
    ways: list[dict[str, Any]] = [
        {},
        {"api_key_env": None, "secret_headers": {"X-Gateway": "SOME_API_KEY"}},
    ]
    for access in ways:
        config = remote(base_url="http://10.0.0.5:8000/v1", **access)
        with pytest.raises(ConfigError, match="could read the key") as caught:
            check_provider(config)
        assert "provider.allow_plain_http=true" in str(caught.value.hint)
        check_provider(msgspec.structs.replace(config, allow_plain_http=True))


def test_an_endpoint_that_needs_no_key_says_so() -> None:
    """Over https a missing key is more often forgotten than not needed."""
    check_provider(remote(api_key_env=None, auth="none"))
    check_provider(remote(api_key_env=None, secret_headers={"X-Gateway": "SOME_API_KEY"}))
    with pytest.raises(ConfigError) as caught:
        check_provider(remote(api_key_env=None))
    assert "provider.auth=none" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"auth": "basic"}, "must be bearer, none or header:NAME"),
        ({"auth": "header:"}, "must be bearer, none or header:NAME"),
        ({"auth": "header:a b"}, "must be bearer, none or header:NAME"),
        ({"auth": "none"}, "sends no key, and"),
        ({"auth": "header:api-key", "api_key_env": None}, "has no key to send"),
        ({"secret_headers": {"Authorization": "SOME_API_KEY"}}, "already sent"),
        ({"secret_headers": {"X": "SOME_API_KEY"}, "headers": {"x": "1"}}, "already sent"),
        ({"auth": "header:x", "secret_headers": {"X": "SOME_API_KEY"}}, "already sent"),
        ({"secret_headers": {"a b": "SOME_API_KEY"}}, "is not a header name"),
        ({"query": {"key": "abc"}}, "may hold no key"),
        ({"query": {"subscription-key": "abc"}}, "may hold no key"),
    ],
)
def test_access_that_cannot_work_is_refused(changes: dict[str, Any], problem: str) -> None:
    """Nothing is sent twice, forgotten, or written into an address that logs would hold."""
    with pytest.raises(ConfigError, match=problem):
        check_provider(remote(**changes))


def test_a_secret_header_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing one is named before anything is sent; a key in the name's place is not shown."""
    monkeypatch.delenv("GATEWAY", raising=False)
    config = remote(secret_headers={"X-Gateway": "GATEWAY"})
    with pytest.raises(ProviderError, match="variable GATEWAY holds no key"):
        check_provider(config)
    check_provider(config, sends=False)
    monkeypatch.setenv("GATEWAY", f"Token {KEY}")
    check_provider(config)
    with pytest.raises(EvalharnessError) as caught:
        check_provider(remote(secret_headers={"X-Gateway": f"sk-{KEY}"}))
    assert KEY not in str(caught.value)
    assert "provider.secret_headers.X-Gateway" in str(caught.value)


async def test_access_reaches_the_endpoint_and_its_identity() -> None:
    """The query is part of what is asked: another version of an API is another endpoint."""
    config = remote(
        base_url="https://a.openai.azure.com/openai/deployments/{model}",
        auth="header:api-key", query={"b": "1", "api-version": "2024-10-21"},
        secret_headers={"X-Gateway": "SOME_API_KEY"},
    )  # fmt: skip
    async with open_endpoint(config, say=print) as endpoint:
        assert endpoint.auth == "header:api-key"
        assert endpoint.query == config.query
        assert endpoint.secret_headers["X-Gateway"].reveal() == KEY
        assert endpoint.identity == f"{endpoint.base_url}?api-version=2024-10-21&b=1"
        assert KEY not in repr(endpoint)


def test_a_query_in_the_address_is_told_where_it_belongs() -> None:
    """Its values are not shown: one may be a key."""
    with pytest.raises(ConfigError) as caught:
        check_provider(remote(base_url=f"https://a.example/v1?api-key={KEY}"))
    assert "provider.query.NAME=VALUE" in str(caught.value.hint)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "identity"),
    [
        ("unix:///run/vllm.sock:/v1", "unix:///run/vllm.sock:/v1"),
        ("unix:///run/vllm.sock:/v1/", "unix:///run/vllm.sock:/v1"),
        ("unix:///run/vllm.sock", "unix:///run/vllm.sock:"),
        ("unix:///run/a%20b.sock:/v1", "unix:///run/a%20b.sock:/v1"),
    ],
)
def test_a_unix_socket_is_this_machine(url: str, identity: str) -> None:
    """It needs no key, and has one spelling."""
    config = remote(base_url=url, api_key_env=None)
    check_provider(config)
    assert provider_identity(config) == identity


@pytest.mark.parametrize(
    "url", ["unix://run/x.sock", "unix:/run/x.sock", "unix:///run/", "unix:///" + "a" * 108]
)
def test_a_socket_that_cannot_be_used_is_refused(url: str) -> None:
    """The hint shows the form."""
    with pytest.raises(ConfigError, match=r"provider\.base_url") as caught:
        check_provider(remote(base_url=url, api_key_env=None))
    assert "unix:///run/vllm.sock:/v1" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ca_file": "/none.pem"}, "provider.ca_file: cannot read '/none.pem'"),
        ({"ca_file": "/none.pem", "verify": False}, "has no meaning"),
        ({"client_key": "/none.pem"}, "provider.client_cert is not set"),
        ({"client_cert": "/none.pem"}, "provider.client_cert: cannot read"),
        ({"base_url": "http://127.0.0.1/v1", "verify": False}, "provider.verify is for https"),
        ({"base_url": "unix:///run/x.sock", "ca_file": "/a"}, "provider.ca_file is for https"),
    ],
)
def test_tls_keys_that_cannot_work_are_refused(changes: dict[str, Any], words: str) -> None:
    """Before anything is sent; a command that sends nothing needs no files."""
    with pytest.raises(ConfigError, match=words):
        check_provider(remote(**changes))


def test_a_command_that_sends_nothing_needs_no_certificates() -> None:
    """A plan can be made where the files are not."""
    check_provider(remote(ca_file="/none.pem"), sends=False)


@pytest.mark.parametrize(
    ("changes", "words", "hint"),
    [
        ({"query": {"a": "b", "v": 1}}, "provider.query.v`: must be a text, got 1", "provider.query.v=\"'1'\""),
        ({"profile": {"bill": ["litellm"]}}, "must be aimlapi or litellm_header or", ""),
        ({"secret_headers": {"X-Gateway": 987654321012}}, "provider.secret_headers.X-Gateway", ""),
    ],
)  # fmt: skip
def test_a_value_of_the_wrong_kind_names_its_key(
    changes: dict[str, Any], words: str, hint: str
) -> None:
    """The entry and what to type; what may be a secret is not shown."""
    plain = {"kind": "remote", "name": "x", "model": "m", **changes}
    with pytest.raises(ConfigError) as caught:
        convert(plain, ProviderConfig, "provider")
    assert words in str(caught.value)
    assert hint in str(caught.value.hint or "")
    assert "987654321012" not in f"{caught.value} {caught.value.hint}"
