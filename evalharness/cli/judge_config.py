"""The configuration of a judging: command line, over a file, over the stored configuration."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import msgspec

from evalharness.config.package_data import package_data_dir
from evalharness.config.secret_scan import refuse_secrets_in_config, refuse_secrets_in_overrides
from evalharness.config.strict_yaml import parse_yaml
from evalharness.config.validation import convert
from evalharness.errors import ConfigError
from evalharness.judging.config import JudgeConfig, default_params, read_judge_config
from evalharness.plugins import plugin_names
from evalharness.providers.plugin_configs import find_plugin_provider


def read_keys(overrides: Sequence[str], config_file: str | None) -> dict[str, Any]:
    """The keys of the command line, over those of the file, as nested plain data."""
    refuse_secrets_in_overrides(list(overrides))
    keys: dict[str, Any] = {}
    if config_file is not None:
        data = _read_yaml(Path(config_file))
        for key, value in data.items():
            _set_key(keys, key, value, str(config_file))
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key:
            raise ConfigError(f"`{override}` is not key=value", hint="provider=local scale=[1,5]")
        # A rubric is prose, which may hold characters that mean something in YAML.
        value = text if key == "rubric" else parse_yaml(text)
        _set_key(keys, key, value, key)
    rubric = keys.get("rubric")
    if isinstance(rubric, str) and rubric.startswith("@"):
        keys["rubric"] = _read_text(Path(rubric[1:]))
    refuse_secrets_in_config(keys)
    return keys


def _set_key(keys: dict[str, Any], key: str, value: Any, where: str) -> None:
    """Set a dotted key. ``provider=NAME`` and ``model=NAME`` are short forms."""
    if key == "provider" and isinstance(value, str):
        keys["provider"] = {**_provider_config(value), **keys.get("provider", {})}
        return
    if key == "model":
        key = "provider.model"
    *path, last = key.split(".")
    node = keys
    for part in path:
        child = node.setdefault(part, {})
        if not isinstance(child, dict):
            raise ConfigError(f"configuration key `{where}`: `{part}` is not an object")
        node = cast("dict[str, Any]", child)
    node[last] = value


def _provider_config(name: str) -> dict[str, Any]:
    """A provider's configuration by the name of its file, the user's own first."""
    folders = [Path.cwd() / "configs", package_data_dir("configs")]
    paths = [folder / "provider" / f"{name}.yaml" for folder in folders]
    path = next((path for path in paths if path.is_file()), None)
    if path is None and (plugin := find_plugin_provider(name)) is not None:
        return {key: value for key, value in plugin.items() if value != "???"}
    if path is None or "/" in name:
        files = {p.stem for f in folders for p in f.glob("provider/*.yaml")}
        known = sorted(files | set(plugin_names("providers")))
        raise ConfigError(
            f"there is no configs/provider/{name}.yaml", hint=f"known: {', '.join(known)}"
        )
    # `???` is how Hydra writes a value that must be given.
    return {key: value for key, value in _read_yaml(path).items() if value != "???"}


def _read_yaml(path: Path) -> dict[str, Any]:
    data = parse_yaml(_read_text(path))
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: must be an object")
    return cast("dict[str, Any]", data)


def _read_text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from None


def merge_config(keys: dict[str, Any], root: Path) -> JudgeConfig:
    """The given keys, over the configuration that the judging was stored with."""
    stored = read_judge_config(root)
    raw: dict[str, Any] = {} if stored is None else msgspec.to_builtins(stored)
    if stored is not None and keys.get("mode", stored.mode) != stored.mode:
        raise ConfigError(
            f"the judging `{root.name}` has mode={stored.mode}", hint="give this one another --name"
        )
    new_provider = stored is not None and keys.get("provider", {}).get("kind") not in (
        None,
        stored.provider.kind,
    )
    for key, value in keys.items():
        merge = isinstance(value, dict) and key in raw and not (key == "provider" and new_provider)
        raw[key] = {**raw[key], **value} if merge else value
    if "params" in keys:
        raw["params"] = {**default_params(), **raw["params"]}
    if "provider" not in raw:
        raise ConfigError(
            "who is to judge is not said", hint="provider=local, or provider=openai model=…"
        )
    return convert(raw, JudgeConfig, "judge")


def print_inherited_limit(keys: dict[str, Any], config: JudgeConfig) -> None:
    """Say when a cost limit of an earlier command still holds for this one."""
    limit = config.limits.max_cost_usd
    if limit is not None and "max_cost_usd" not in keys.get("limits", {}):
        print(
            f"limits.max_cost_usd={limit}, given to this judging before, still holds for all of it "
            "(limits.max_cost_usd=null lifts it)",
            file=sys.stderr,
        )
