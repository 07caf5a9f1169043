"""Providers of other packages: a configuration, or a function that answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from evalharness.config.models import ProviderConfig
from evalharness.config.validation import convert
from evalharness.errors import ConfigError
from evalharness.plugins import Plugin, find_plugin

# What `configs/provider/*.yaml` says and a plugin may leave out; `???` must be given by the user.
_MAPPING_DEFAULTS = {"kind": "remote", "model": "???", "api_key_env": None}


def find_plugin_provider(name: str) -> dict[str, Any] | None:
    """The configuration of the provider plugin of a name, None where no package has one.

    Raises:
        PluginError: several have it, or it cannot be used.
    """
    plugin = find_plugin("providers", name)
    return None if plugin is None else plugin_provider(plugin)


def plugin_provider(plugin: Plugin) -> dict[str, Any]:
    """The configuration of a provider plugin, as plain data like that of a shipped file.

    A mapping has the keys of such a file. A function is called as ``provider.call`` is.

    Raises:
        PluginError: it cannot be imported, is neither, or has a key or value that cannot be.
    """
    value = plugin.import_value()
    if isinstance(value, Mapping):
        keys = cast("Mapping[str, Any]", value)
        config = {**_MAPPING_DEFAULTS, "name": plugin.name, **keys}
    elif callable(value):
        config = {
            "kind": "python",
            "name": plugin.name,
            "model": plugin.name,
            "api_key_env": None,
            "call": plugin.reference,
            "profile": {"stream_usage": False},
        }
    else:
        raise plugin.problem(f"must be a mapping or a function, got {value!r:.80}")
    try:
        plain: dict[str, Any] = msgspec.to_builtins(config)
        convert(plain, ProviderConfig, "provider")
    except (ConfigError, TypeError) as error:
        raise plugin.problem(str(error)) from None
    return plain
