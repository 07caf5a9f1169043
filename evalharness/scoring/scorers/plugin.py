"""Scorers of other packages: a :class:`~.base.Scorer`, or a function as ``python`` takes it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

from evalharness.config.validation import convert
from evalharness.errors import ConfigError, EvalharnessError
from evalharness.plugins.entry_points import Plugin, describe_error
from evalharness.scoring.base import Sample, Scorer
from evalharness.scoring.scorers.python import PythonScorer


class PluginFunctionScorer(PythonScorer, frozen=True, kw_only=True):
    """Calls the function of a plugin, as ``python`` calls one of the user's own."""

    def default_label(self, name: str) -> str:
        """The name of the plugin."""
        return name


def import_scorer(plugin: Plugin) -> type[Scorer] | Callable[..., Any]:
    """The class or function of a plugin.

    Raises:
        PluginError: it cannot be imported, or is neither.
    """
    value = plugin.import_value()
    if _is_scorer(value) or (callable(value) and not inspect.isclass(value)):
        return value
    raise plugin.problem(f"must be a Scorer or a function, got {value!r:.80}")


def parse_plugin_scorer(plugin: Plugin, fields: Mapping[str, Any], where: str) -> Scorer:
    """The scorer of an entry of a ``scoring`` list.

    Args:
        plugin: that the entry names.
        fields: the other keys of the entry. Those that no scorer knows are arguments of a function.
        where: the key of the entry, for messages.

    Raises:
        PluginError: the plugin cannot be used.
        ConfigError: an argument that it does not take.
    """
    value = import_scorer(plugin)
    try:
        if _is_scorer(value):
            return convert(dict(fields), value, where)
        common = {str(f) for f in Scorer.__struct_encode_fields__}
        arguments = {key: item for key, item in fields.items() if key not in common}
        _check_arguments(value, arguments, plugin, where)
        others = {key: item for key, item in fields.items() if key in common}
        function = {"path": plugin.reference, "args": arguments}
        return convert({**others, **function}, PluginFunctionScorer, where)
    except EvalharnessError:
        raise
    except Exception as error:  # its own check of its arguments
        raise plugin.problem(describe_error(error)) from None


def _check_arguments(
    function: Callable[..., Any], arguments: Mapping[str, Any], plugin: Plugin, where: str
) -> None:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # no signature, as for some functions written in C
        return
    try:
        signature.bind(Sample(text=None), **arguments)
    except TypeError as error:
        known = list(signature.parameters)[1:]
        raise ConfigError(
            f"configuration key `{where}`: {plugin}: {error}",
            hint=f"it takes {', '.join(known)}" if known else "it takes no arguments",
        ) from None


def _is_scorer(value: Any) -> TypeGuard[type[Scorer]]:
    return inspect.isclass(value) and issubclass(value, Scorer)
