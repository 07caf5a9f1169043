"""The shipped provider configurations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
import yaml

from evalharness.chat_api.params import check_params
from evalharness.config.models import ModelRules, ProviderConfig
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
    assert names >= {"azure", "mistral", "deepseek", "groq", "xai", "gemini", "anthropic"}
    assert names >= {"together", "fireworks", "ollama", "vllm", "lmstudio", "litellm"}
    assert names >= {"anthropic_messages"}
    page = (ROOT / "docs" / "providers.md").read_text("utf-8")
    assert {name for name in names if f"`{name}`" not in page} == set()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_profile_names_what_can_be_typed_instead(path: Path) -> None:
    """What takes a refused parameter's place is a parameter that this model takes."""
    profile = load(path).profile
    for rules in (profile, *profile.models):
        patterns = rules.match if isinstance(rules, ModelRules) else ["some-model"]
        for pattern in patterns:
            refused = profile.for_model(pattern.replace("*", "x")).refuses or {}
            for instead in (rules.refuses or {}).values():
                assert instead not in refused


@pytest.mark.parametrize(
    ("name", "model", "params", "hint"),
    [
        ("openai", "gpt-5-mini", {"max_tokens": 9}, "params.max_completion_tokens"),
        ("openai", "o3", {"temperature": 0}, "params.temperature=null"),
        ("azure", "gpt-5", {"top_p": 0.5}, "params.top_p=null"),
        ("mistral", "mistral-small-latest", {"seed": 1}, "params.extra.random_seed"),
        ("mistral", "m", {"max_completion_tokens": 9}, "params.max_tokens"),
        ("groq", "m", {"logprobs": True}, "params.logprobs=null"),
        ("xai", "grok-4", {"stop": "x"}, "params.stop=null"),
        ("gemini", "m", {"frequency_penalty": 1}, "params.frequency_penalty=null"),
        ("deepseek", "deepseek-reasoner", {"logprobs": True}, "params.logprobs=null"),
        ("ollama", "m", {"max_completion_tokens": 9}, "params.max_tokens"),
        ("anthropic_messages", "claude-sonnet-5-5", {"top_k": 3}, "params.top_k=null"),
        ("lmstudio", "m", {"repetition_penalty": 1.1}, "params.extra.repeat_penalty"),
    ],
)
def test_what_a_provider_is_known_to_refuse(
    name: str, model: str, params: dict[str, Any], hint: str
) -> None:
    """Nothing of it is sent, and the hint names what works."""
    profile = load(ROOT / "configs" / "provider" / f"{name}.yaml").profile
    with pytest.raises(ConfigError, match=f"is refused by {model}") as caught:
        check_params(params, profile, model=model)
    assert hint in str(caught.value.hint)


def test_models_that_take_everything_are_not_refused() -> None:
    """The rules of reasoning models hold for them alone."""
    profile = load(ROOT / "configs" / "provider" / "openai.yaml").profile
    params = {"max_tokens": 9, "temperature": 0, "logprobs": True, "stop": "x"}
    assert check_params(params, profile, model="gpt-4.1-mini") == params
    assert check_params({"temperature": 0}, profile, model="gpt-5.2")
    assert check_params({"max_completion_tokens": 9}, profile, model="o3")


@pytest.mark.parametrize(
    "name",
    [
        "aimlapi",
        "openai",
        "openrouter",
        "dashscope",
        "mistral",
        "deepseek",
        "groq",
        "xai",
        "gemini",
        "anthropic",
        "anthropic_messages",
        "together",
        "fireworks",
        "litellm",
    ],
)
def test_a_paid_provider_needs_only_its_key(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the variable set the configuration can be used; without it the variable is named."""
    config = load(ROOT / "configs" / "provider" / f"{name}.yaml")
    variable = str(config.api_key_env)
    monkeypatch.setenv(variable, "a-key-of-some-length")
    check_provider(config)
    spoken = "" if config.protocol == "chat" else f" ({config.protocol})"
    assert provider_identity(config) == f"{config.base_url}{spoken}"
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
