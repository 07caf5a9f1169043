"""The shipped provider configurations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
import yaml

from evalharness.config.models import ProviderConfig
from evalharness.errors import ConfigError, ProviderError
from evalharness.providers import check_provider, provider_identity

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs" / "provider").glob("*.yaml"))


def load(path: Path) -> ProviderConfig:
    raw: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    return msgspec.convert(raw, ProviderConfig, strict=True)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_provider_configuration_is_valid(path: Path) -> None:
    """Each shipped file fits the typed schema and is named after itself."""
    assert load(path).name == path.stem


def test_the_shipped_providers_are_the_ones_promised() -> None:
    """The configuration group holds at least the providers the documentation names."""
    names = {path.stem for path in CONFIGS}
    assert names >= {"local", "aimlapi", "openai", "openrouter", "dashscope", "openai_compatible"}


@pytest.mark.parametrize("name", ["aimlapi", "openai", "openrouter", "dashscope"])
def test_a_paid_provider_needs_only_its_key(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the variable set the configuration can be used; without it the variable is named."""
    config = load(ROOT / "configs" / "provider" / f"{name}.yaml")
    variable = str(config.api_key_env)
    monkeypatch.setenv(variable, "a-key-of-some-length")
    check_provider(config)
    assert provider_identity(config) == config.base_url
    monkeypatch.delenv(variable)
    with pytest.raises(ProviderError, match=variable):
        check_provider(config)


def test_the_first_target_has_the_ranges_of_its_document() -> None:
    """The ranges of the AI/ML API, as its OpenAPI document gives them for qwen-plus."""
    profile = load(ROOT / "configs" / "provider" / "aimlapi.yaml").profile
    assert profile.ranges["temperature"] == (0, 2)
    assert profile.ranges["top_p"] == (0.01, 1)
    assert profile.ranges["seed"] == (1, None)
    assert profile.ranges["n"] == profile.ranges["max_tokens"] == (1, None)
    assert profile.ranges["frequency_penalty"] == profile.ranges["presence_penalty"] == (-2, 2)
    assert profile.ranges["top_logprobs"] == (0, 20)
    assert profile.failed_calls_billed is False
    assert profile.per_second_caps


def test_any_other_server_needs_an_address() -> None:
    """The address of an OpenAI-compatible server has no default, and its absence is said."""
    config = load(ROOT / "configs" / "provider" / "openai_compatible.yaml")
    with pytest.raises(ConfigError, match=r"provider\.base_url is missing"):
        check_provider(config)


def test_the_quickstart_prompts_are_distinct_and_tagged() -> None:
    """Ids are unique, every row has a text, and rows without a target are the open ones."""
    lines = (ROOT / "datasets" / "quickstart.jsonl").read_text("utf-8").splitlines()
    rows = [cast("dict[str, Any]", json.loads(line)) for line in lines]
    assert len({row["id"] for row in rows}) == len(rows) == 12
    assert all(("prompt" in row) != ("messages" in row) for row in rows)
    assert {row["id"] for row in rows if "target" not in row} == {"open-sea", "open-bakery"}
    assert all(row["tags"] for row in rows)
