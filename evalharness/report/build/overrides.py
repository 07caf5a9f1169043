"""Parsing of ``scoring=…``, ``answer=…`` and ``pricing.prices=…`` in a report command."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evalharness.config.strict_yaml import parse_yaml
from evalharness.errors import ConfigError
from evalharness.report.build.scoring import ReportOverrides
from evalharness.scoring.base import is_list
from evalharness.scoring.config_parsing import expand_entries

MAX_VOLUME = 1e12  # requests


def parse_overrides(
    arguments: Sequence[str],
    *,
    include_inactive: bool = False,
    pricing: Path | None = None,
    volume: float | None = None,
    group_by: str | None = None,
) -> ReportOverrides:
    """Read ``scoring=NAME``, ``scoring=[NAME, {name: …}]``, ``answer=…``, ``pricing.prices=[…]``.

    Raises:
        ConfigError: another key, a value that is no YAML of the right shape, or a volume that is no
            number of requests.
    """
    if volume is not None and not 1 <= volume <= MAX_VOLUME:
        raise ConfigError(
            f"--volume must be a number of requests from 1 to {MAX_VOLUME:.0e}, got {volume:g}",
            hint="--volume 100000",
        )
    scoring: list[dict[str, Any]] | None = None
    answer: Any = None
    prices: list[Any] | None = None
    for argument in arguments:
        key, _, value = argument.partition("=")
        if key == "scoring":
            scoring = _scoring(value)
        elif key == "answer":
            parsed = _yaml(argument, value)
            answer = False if parsed in (None, "none") else parsed
        elif key in ("pricing.prices", "+pricing.prices"):  # as `run` takes it
            prices = _prices(argument, value)
        else:
            raise ConfigError(
                f"there is no `{key}=…` here",
                hint=_as_one_argument(key, value)
                or "scoring=…, answer=… and pricing.prices=[…] can be replaced",
            )
    return ReportOverrides(
        include_inactive=include_inactive,
        scoring=scoring,
        answer=answer,
        prices=prices,
        pricing=pricing,
        volume=volume,
        group_by=group_by,
    )


def _as_one_argument(key: str, value: str) -> str | None:
    """How a dotted key of ``answer`` or ``scoring`` is typed here; None for any other key."""
    name, *path = key.split(".")
    if name not in ("answer", "scoring") or not path or not value:
        return None
    inner = value
    for part in reversed(path):
        inner = f"{{{part}: {inner}}}"
    return shlex.quote(f"{name}={inner}")


def _prices(argument: str, value: str) -> list[Any]:
    parsed = _yaml(argument, value)
    if not is_list(parsed):
        raise ConfigError(
            f"`{argument}` is not a list",
            hint="'pricing.prices=[{model: NAME, price_usd_per_mtok: {prompt: 0.4, "
            "completion: 1.2}}]'",
        )
    return parsed


def _scoring(value: str) -> list[dict[str, Any]]:
    parsed = _yaml(f"scoring={value}", value)
    return expand_entries(parsed if is_list(parsed) else [parsed])


def _yaml(argument: str, value: str) -> Any:
    try:
        return parse_yaml(value)
    except ConfigError as error:
        escaped = "escape" in error.message  # YAML reads backslashes inside double quotes
        hint = "put patterns in YAML's single quotes: {regex: '…'}" if escaped else error.hint
        raise ConfigError(f"`{argument}`: {error.message}", hint=hint) from None
