"""The options: one struct, fed by a config group and by a command line."""

from __future__ import annotations

import argparse
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from evalharness.config.models import ProviderConfig
from evalharness.emulator import EmulatorOptions, add_arguments, options_from_arguments
from evalharness.emulator.options import HELP
from evalharness.errors import ConfigError


def parsed(*argv: str) -> EmulatorOptions:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return options_from_arguments(parser.parse_args(argv))


def test_the_command_line_and_the_config_group_mean_the_same() -> None:
    """Every option can be set on the command line and by mapping, with one result."""
    given = parsed(
        *("--profile", "aimlapi", "--ttft-ms", "20.5", "--workers", "3", "--seed", "9"),
        *("--fault", "reset=0.1", "--fault", "status=503;retry-after=2=0.2", "--in-doubt", "0.3"),
        *("--fingerprint", "a", "--fingerprint", "null", "--price-prompt", "0.1", "--any-model"),
        *("--require-key", "--error-retry-after", "retry-after=1", "--no-per-second-caps"),
    )
    mapping: dict[str, Any] = {
        "profile": "aimlapi",
        "ttft_ms": 20.5,
        "workers": 3,
        "seed": 9,
        "faults": {"reset": 0.1, "status=503;retry-after=2": 0.2},
        "in_doubt": 0.3,
        "fingerprints": ["a", None],
        "price_prompt": Decimal("0.1"),
        "any_model": True,
        "require_key": "*",
        "error_retry_after": "retry-after=1",
    }
    assert given == EmulatorOptions.from_mapping(mapping)


def test_flags_override_config_json() -> None:
    """``--config-json`` carries a whole mapping; a flag beside it wins."""
    assert parsed("--config-json", '{"seed": 1, "rpm": 5}', "--seed", "2") == EmulatorOptions(
        seed=2, rpm=5
    )


def test_every_dial_is_explained() -> None:
    """Help exists for each field and for nothing else."""
    assert set(HELP) == {field.name for field in msgspec.structs.fields(EmulatorOptions)}


def test_prices_stay_exact() -> None:
    """A price written as a number in YAML is the decimal a person reads there."""
    options = EmulatorOptions.from_mapping({"price_prompt": 0.1, "price_cached": "0.16"})
    assert (options.price_prompt, options.price_cached) == (Decimal("0.1"), Decimal("0.16"))


@pytest.mark.parametrize(
    ("mapping", "named"),
    [
        ({"ttft": 1}, "provider.emulator.ttft"),
        ({"ttft_ms": "fast"}, "provider.emulator.ttft_ms"),
        ({"error_rate": 1.5}, "provider.emulator.error_rate"),
        ({"faults": {"reset": 2}}, "provider.emulator.faults"),
        ({"faults": {"explode": 0.1}}, "provider.emulator.faults"),
        ({"faults": {"reset=4": 0.1}}, "provider.emulator.faults"),
        ({"error_rate": 0.1, "error_retry_after": "soon"}, "provider.emulator.faults"),
        ({"price_prompt": -1}, "provider.emulator.price_prompt"),
        ({"price_prompt": "NaN"}, "provider.emulator.price_prompt"),
        ({"fingerprints": []}, "provider.emulator.fingerprints"),
        ({"profile": "acme"}, "provider.emulator.profile"),
    ],
)
def test_a_wrong_dial_is_named(mapping: dict[str, Any], named: str) -> None:
    """What cannot be meant is refused with the key as it is typed."""
    with pytest.raises(ConfigError) as caught:
        EmulatorOptions.from_mapping(mapping)
    assert named in caught.value.message


def test_the_shipped_config_is_a_provider() -> None:
    """``configs/provider/emulator.yaml`` fits the typed schema, and its options are valid."""
    path = Path(__file__).parents[2] / "configs" / "provider" / "emulator.yaml"
    config = msgspec.convert(yaml.safe_load(path.read_text()), ProviderConfig)
    assert (config.kind, config.name, config.api_key_env) == ("emulator", "emulator", None)
    assert EmulatorOptions.from_mapping(config.emulator) == EmulatorOptions()
