"""The emulator as an endpoint."""

from __future__ import annotations

import httpx
import pytest

from evalharness.config.models import ProviderConfig
from evalharness.errors import ConfigError
from evalharness.providers import check_provider, open_endpoint
from tests.process.child_checks import MessageLog


def emulator(**options: object) -> ProviderConfig:
    return ProviderConfig(kind="emulator", name="emulator", model="qwen-plus", emulator=options)


async def test_the_emulator_runs_for_the_length_of_the_block(
    log: MessageLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers at its address with the configured options and the key, and is gone afterwards."""
    monkeypatch.setenv("EMULATOR_KEY", "rehearsal-key")
    config = ProviderConfig(
        kind="emulator",
        name="emulator",
        model="qwen-plus",
        api_key_env="EMULATOR_KEY",
        emulator={"require_key": "rehearsal-key"},
    )
    body = {"model": "qwen-plus", "messages": [{"role": "user", "content": "Hi"}]}
    async with open_endpoint(config, say=log) as endpoint, httpx.AsyncClient() as client:
        url = f"{endpoint.base_url}/chat/completions"
        assert endpoint.identity == "emulator"
        assert endpoint.key is not None
        refused = await client.post(url, json=body)
        headers = {"Authorization": f"Bearer {endpoint.key.reveal()}"}
        answered = await client.post(url, json=body, headers=headers)
    assert refused.status_code == 401
    assert answered.json()["choices"][0]["message"]["content"]
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)
    assert log == []


def test_an_unknown_option_of_the_emulator_is_refused() -> None:
    """A misspelt dial is found before anything is started, and named."""
    with pytest.raises(ConfigError, match="no_such_dial"):
        check_provider(emulator(no_such_dial=1))
