"""``scoring=…``, ``answer=…`` and ``pricing.prices=…`` of a report: nothing is sent for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evalharness.errors import ConfigError
from evalharness.paths import shipped
from evalharness.report.build import Options
from evalharness.strict_yaml import load as load_yaml


def parse_overrides(
    arguments: Sequence[str],
    *,
    everything: bool = False,
    pricing: Path | None = None,
    volume: float | None = None,
) -> Options:
    """Read ``scoring=NAME``, ``scoring=[{name: …}]``, ``answer=…`` and ``pricing.prices=[…]``.

    Raises:
        ConfigError: another key, or a value that is no YAML of the right shape.
    """
    scoring: list[dict[str, Any]] | None = None
    answer: Any = None
    prices: list[Any] | None = None
    for argument in arguments:
        key, _, value = argument.partition("=")
        if key == "scoring":
            scoring = _scoring(value)
        elif key == "answer":
            answer = load_yaml(value)
        elif key in ("pricing.prices", "+pricing.prices"):  # as `run` takes it
            prices = _prices(value)
        else:
            raise ConfigError(
                f"report takes no `{key}=…`",
                hint="scoring=…, answer=… and pricing.prices=[…] can be replaced",
            )
    return Options(
        everything=everything,
        scoring=scoring,
        answer=answer,
        prices=prices,
        pricing=pricing,
        volume=volume,
    )


def _prices(value: str) -> list[Any]:
    parsed: Any = load_yaml(value)
    if not isinstance(parsed, list):
        raise ConfigError(
            f"`pricing.prices={value}` is not a list",
            hint="'pricing.prices=[{model: NAME, price_usd_per_mtok: {prompt: 0.4, "
            "completion: 1.2}}]'",
        )
    return parsed  # pyright: ignore[reportUnknownVariableType]


def _scoring(value: str) -> list[dict[str, Any]]:
    for folder in (Path.cwd() / "configs", shipped("configs")):
        preset = folder / "scoring" / f"{value}.yaml"
        if value.isidentifier() and preset.is_file():
            loaded: Any = load_yaml(preset.read_text())
            return loaded["scoring"]
    parsed: Any = load_yaml(value)
    if isinstance(parsed, str):
        return [{"name": parsed}]
    if isinstance(parsed, dict):
        return [parsed]
    if isinstance(parsed, list):
        return parsed  # pyright: ignore[reportUnknownVariableType]
    raise ConfigError(f"`scoring={value}` is neither a preset nor a list of scorers")
