"""What a judging is made with: what was typed, over a file, over what it was made with before."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import msgspec

from evalharness.config.package_data import shipped
from evalharness.config.secret_scan import refuse_in_config, refuse_in_overrides
from evalharness.config.strict_yaml import load
from evalharness.errors import ConfigError
from evalharness.judging.config import JudgeConfig, default_params, read_config
from evalharness.scoring.config_parsing import convert


def given_keys(overrides: Sequence[str], config_file: str | None) -> dict[str, Any]:
    """What was typed, over what the file says: nested plain data."""
    refuse_in_overrides(list(overrides))
    given: dict[str, Any] = {}
    if config_file is not None:
        read = _yaml(Path(config_file))
        for key, value in read.items():
            _put(given, key, value, str(config_file))
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key:
            raise ConfigError(f"`{override}` is not key=value", hint="provider=local scale=[1,5]")
        # A rubric is prose, and prose may hold what YAML takes for punctuation.
        value = text if key == "rubric" else load(text)
        _put(given, key, value, key)
    rubric = given.get("rubric")
    if isinstance(rubric, str) and rubric.startswith("@"):
        given["rubric"] = _text(Path(rubric[1:]))
    refuse_in_config(given)
    return given


def _put(given: dict[str, Any], key: str, value: Any, where: str) -> None:
    """Set a dotted key. ``provider=NAME`` and ``model=NAME`` are short forms."""
    if key == "provider" and isinstance(value, str):
        given["provider"] = {**_provider(value), **given.get("provider", {})}
        return
    if key == "model":
        key = "provider.model"
    *path, last = key.split(".")
    inside = given
    for part in path:
        below = inside.setdefault(part, {})
        if not isinstance(below, dict):
            raise ConfigError(f"configuration key `{where}`: `{part}` is not an object")
        inside = cast("dict[str, Any]", below)
    inside[last] = value


def _provider(name: str) -> dict[str, Any]:
    """A provider's configuration by the name of its file, the user's own first."""
    folders = [Path.cwd() / "configs", shipped("configs")]
    paths = [folder / "provider" / f"{name}.yaml" for folder in folders]
    path = next((path for path in paths if path.is_file()), None)
    if path is None or "/" in name:
        known = sorted({p.stem for f in folders for p in f.glob("provider/*.yaml")})
        raise ConfigError(
            f"there is no configs/provider/{name}.yaml", hint=f"known: {', '.join(known)}"
        )
    # `???` is how Hydra writes a value that must be given.
    return {key: value for key, value in _yaml(path).items() if value != "???"}


def _yaml(path: Path) -> dict[str, Any]:
    read = load(_text(path))
    if not isinstance(read, dict):
        raise ConfigError(f"{path}: must be an object")
    return cast("dict[str, Any]", read)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from None


def config_of(given: dict[str, Any], root: Path) -> JudgeConfig:
    """What was given, over what the judging was made with."""
    before = read_config(root)
    raw: dict[str, Any] = {} if before is None else msgspec.to_builtins(before)
    if before is not None and given.get("mode", before.mode) != before.mode:
        raise ConfigError(
            f"the judging `{root.name}` has mode={before.mode}", hint="give this one another --name"
        )
    new_provider = before is not None and given.get("provider", {}).get("kind") not in (
        None,
        before.provider.kind,
    )
    for key, value in given.items():
        merge = isinstance(value, dict) and key in raw and not (key == "provider" and new_provider)
        raw[key] = {**raw[key], **value} if merge else value
    if "params" in given:
        raw["params"] = {**default_params(), **raw["params"]}
    if "provider" not in raw:
        raise ConfigError(
            "who is to judge is not said", hint="provider=local, or provider=openai model=…"
        )
    return convert(raw, JudgeConfig, "judge")


def say_limit(given: dict[str, Any], config: JudgeConfig) -> None:
    """A limit of money that was given to an earlier command holds for this one: never silently."""
    limit = config.limits.max_cost_usd
    if limit is not None and "max_cost_usd" not in given.get("limits", {}):
        print(
            f"limits.max_cost_usd={limit}, given to this judging before, still holds for all of it "
            "(limits.max_cost_usd=null lifts it)",
            file=sys.stderr,
        )
