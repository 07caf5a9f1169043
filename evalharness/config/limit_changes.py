"""Limits that can be changed while a run goes on: their keys, as typed and as checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeAlias

from msgspec import structs

from evalharness.config.models import LimitsConfig
from evalharness.config.strict_yaml import YamlError, parse_yaml
from evalharness.config.validation import convert
from evalharness.errors import ConfigError
from evalharness.process.text import closest, did_you_mean

#: The value of a limit as it is stored: an amount of money is a text, so that it stays exact.
LimitValue: TypeAlias = int | float | str | None

_GROUP = "limits."
_MONEY = "max_cost_usd"
#: Keys of ``limits`` that a running run takes.
CHANGEABLE = ("concurrency", "rpm", _MONEY)
_KEYS = [_GROUP + key for key in CHANGEABLE]
_EXAMPLE = "evalharness control RUN set limits.rpm=60"


def parse_changes(words: Sequence[str]) -> dict[str, LimitValue]:
    """``limits.rpm=60`` and the like as values by key, without ``limits.``; checked.

    Raises:
        ConfigError: no such key, one that cannot be changed, or a value that it cannot have.
    """
    if not words:
        raise ConfigError("nothing to set", hint=_EXAMPLE)
    changes: dict[str, LimitValue] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise ConfigError(f"`{word}` is not KEY=VALUE", hint=_EXAMPLE)
        key = _changeable(name)
        if key in changes:
            raise ConfigError(f"{name} is given twice")
        changes[key] = _parse_value(name, key, text)
    check_changes(changes)
    return changes


def check_changes(changes: Mapping[str, Any]) -> None:
    """Check keys and values, whoever sent them.

    Raises:
        ConfigError: as :func:`parse_changes`.
    """
    for key in changes:
        _changeable(_GROUP + key)
    convert(dict(changes), LimitsConfig, "limits")


def with_changes(limits: LimitsConfig, changes: Mapping[str, Any]) -> LimitsConfig:
    """The same limits with some changed.

    Raises:
        ConfigError: as :func:`parse_changes`.
    """
    check_changes(changes)
    wanted = convert(dict(changes), LimitsConfig, "limits")
    return structs.replace(limits, **{key: getattr(wanted, key) for key in changes})


def stored_value(limits: LimitsConfig, key: str) -> LimitValue:
    """The value of a limit as it is stored."""
    value: Any = getattr(limits, key)
    return format(value, "f") if isinstance(value, Decimal) else value


def value_text(value: LimitValue) -> str:
    """A stored value as it is typed."""
    if value is None:
        return "null"
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _changeable(name: str) -> str:
    key = name.removeprefix(_GROUP)
    if name.startswith(_GROUP) and key in CHANGEABLE:
        return key
    if name.startswith(_GROUP) and key in LimitsConfig.__struct_fields__:
        raise ConfigError(
            f"`{name}` cannot be changed while a run goes on",
            hint=f"these can: {', '.join(_KEYS)}; else interrupt the run and start it again",
        )
    close = closest(name, _KEYS) or closest(_GROUP + name, _KEYS)
    raise ConfigError(
        f"`{name}` is no limit that a running run takes",
        hint=did_you_mean(close) if close else f"these can be changed: {', '.join(_KEYS)}",
    )


def _parse_value(name: str, key: str, text: str) -> LimitValue:
    try:
        value: Any = parse_yaml(text, number=Decimal if key == _MONEY else float)
    except YamlError as error:
        raise ConfigError(f"{name}={text} cannot be read: {error.message}") from None
    if key == _MONEY and isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        return format(Decimal(value), "f")
    return value
