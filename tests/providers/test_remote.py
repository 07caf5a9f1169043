"""Endpoints elsewhere: addresses, keys and headers."""

from __future__ import annotations

from typing import Any

import pytest

from evalharness.config.models import ProviderConfig
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
    ],
)
def test_on_this_machine_neither_https_nor_a_key_is_needed(url: str, identity: str) -> None:
    """A server on loopback can be used as it is."""
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
