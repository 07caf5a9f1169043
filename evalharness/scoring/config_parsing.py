"""The ``scoring`` list of a configuration to scorers; errors name the key as it is typed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from evalharness.config.package_data import package_data_dir
from evalharness.config.strict_yaml import parse_yaml
from evalharness.config.validation import convert, suggest_name
from evalharness.errors import ConfigError
from evalharness.plugins import find_plugin, plugin_names
from evalharness.scoring.base import Scorer, json_type
from evalharness.scoring.scorers.plugin import parse_plugin_scorer


def expand_entries(entries: Iterable[Any]) -> list[Any]:
    """The entries of a ``scoring`` list with names in place of objects: presets and scorers.

    A name is that of a preset (``configs/scoring/NAME.yaml``, here or shipped), else of a scorer.
    """
    return [scorer for entry in entries for scorer in _expand(entry)]


def _expand(entry: Any) -> list[Any]:
    """One scorer, or those of a preset. Anything else is refused where scorers are parsed."""
    if not isinstance(entry, str):
        return [entry]
    for folder in (Path.cwd() / "configs", package_data_dir("configs")):
        preset = folder / "scoring" / f"{entry}.yaml"
        if entry.isidentifier() and preset.is_file():
            preset_config: Any = parse_yaml(preset.read_text("utf-8"))
            return preset_config["scoring"]
    return [{"name": entry}]


def parse_scorers(
    raw: Sequence[Mapping[str, Any]], table: Mapping[str, type[Scorer]]
) -> list[Scorer]:
    """Scorers of a ``scoring`` list, in its order, each with a ``label`` of its own.

    A scorer without a label takes its name (a function's own, of ``python``); the second of a name
    becomes ``name_2``.

    Raises:
        ConfigError: an unknown scorer or argument, a wrong type or range, two equal labels.

    """
    scorers: list[Scorer] = []
    taken: set[str] = set()
    for index, entry in enumerate(raw):
        where = f"scoring[{index}]"
        name, scorer = _parse_entry(entry, where, table)
        label = scorer.label
        if label is None:
            own = scorer.default_label(name)
            label, count = own, 1
            while label in taken:
                count += 1
                label = f"{own}_{count}"
        elif label in taken:
            raise ConfigError(f"configuration key `{where}.label`: {label!r} is already taken")
        taken.add(label)
        scorers.append(msgspec.structs.replace(scorer, label=label))
    return scorers


def _parse_entry(
    entry: Mapping[str, Any], where: str, table: Mapping[str, type[Scorer]]
) -> tuple[str, Scorer]:
    if not isinstance(entry, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(
            f"configuration key `{where}`: must be an object with a `name`, got {json_type(entry)}",
            hint="write it as {name: exact}",
        )
    fields = dict(entry)
    name = fields.pop("name", None)
    if not isinstance(name, str):
        raise ConfigError(
            f"configuration key `{where}.name`: the scorer's name is missing",
            hint=f"one of {', '.join(table)}",
        )
    if name in table:
        return name, convert(fields, table[name], where)
    plugin = find_plugin("scorers", name)
    if plugin is None:
        raise ConfigError(
            f"configuration key `{where}.name`: no scorer is called {name!r}",
            hint=suggest_name(name, [*table, *plugin_names("scorers")]),
        )
    return name, parse_plugin_scorer(plugin, fields, where)
