"""Where Hydra ends: command line → composed configuration → typed RunConfig.

The only module that knows Hydra and OmegaConf. :func:`hydra_command` runs Hydra's own main (so
``--cfg``, ``--info``, ``--help`` and ``-m`` mean what a Hydra user expects) and calls ``execute``
with the configurations: one for a plain run, several for a pooled multirun.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple, cast

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from evalharness.cli import suggestions
from evalharness.config.models import RunConfig, parse
from evalharness.config.package_data import shipped
from evalharness.config.secret_scan import refuse_in_config
from evalharness.errors import ConfigError


class Job(NamedTuple):
    """One composed configuration: typed, and as YAML to be saved beside the results."""

    config: RunConfig
    yaml: str


class Result(NamedTuple):
    """What a command came to; ``objective`` goes back to an optimising sweeper."""

    exit_code: int
    objective: float | None = None


# Where a list of scorers typed on the command line waits until it replaces the group's.
SCORER_LIST = "scoring_list"


def _on_this_machine(results_dir: str) -> str:
    """Where Hydra may put its own files of a multirun whose results root may be a URL."""
    from evalharness.store.remote.locations import results_root

    return str(results_root(results_dir))


OmegaConf.register_new_resolver("on_this_machine", _on_this_machine, replace=True)


def composed_job(config: DictConfig) -> Job:
    """A composed configuration, checked: typed, and as YAML."""
    ours = OmegaConf.masked_copy(config, [str(k) for k in config if k != "hydra"])
    missing = sorted(OmegaConf.missing_keys(ours), reverse=True)
    if missing:
        named = " and ".join(f"`{key}`" for key in missing)
        raise ConfigError(
            f"{named} {'have' if missing[1:] else 'has'} no value",
            hint=suggestions.for_missing(missing),
        )
    try:
        task: list[Any] = hydra_value(config, "overrides.task") or []
        overrides = [str(override) for override in task]
        own_folder = _job_number(config)
        plain = OmegaConf.to_container(ours, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(one_line(error), hint="give the key a value: KEY=VALUE") from None
    raw = cast("dict[str, Any]", plain)
    raw.pop("experiment", None)
    raw["scoring"] = raw.pop(SCORER_LIST, raw.get("scoring"))
    refuse_in_config(raw)
    _settle_axes(raw, overrides)
    raw["providers"] = _swept_providers(raw)
    if own_folder is not None:
        raw["name"] = f"{raw['name']}-{own_folder}"
    return Job(_parsed(raw), OmegaConf.to_yaml(OmegaConf.create(raw)))


def _parsed(raw: dict[str, Any]) -> RunConfig:
    """The typed configuration; an unknown key gets a suggestion."""
    try:
        return parse(raw)
    except ConfigError as error:
        key = re.match(r"unknown configuration key `(.+)`", error.message)
        hint = suggestions.for_key(key[1]) if key else error.hint
        raise ConfigError(error.message, hint=hint) from None


def one_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    key = next((line.split(":", 1)[1].strip() for line in text if "full_key:" in line), None)
    return f"configuration key `{key}`: {text[0]}" if key else text[0]


def _job_number(config: DictConfig) -> int | None:
    """The job's number when some other launcher gives each job a run folder of its own."""
    if hydra_value(config, "mode") != RunMode.MULTIRUN:
        return None
    if str(hydra_value(config, "launcher._target_")).endswith("PooledLauncher"):
        return None
    return int(hydra_value(config, "job.num"))


def hydra_value(config: DictConfig, key: str) -> Any:
    """A value of Hydra's own configuration: the pooled launcher's jobs carry it, others do not."""
    if "hydra" in config:
        return OmegaConf.select(config, f"hydra.{key}")
    return OmegaConf.select(HydraConfig.instance().cfg, f"hydra.{key}")  # pyright: ignore[reportArgumentType]


def _settle_axes(raw: dict[str, Any], overrides: list[str]) -> None:
    """``params.X=v`` on the command line fixes X: an axis X from a preset gives way.

    Raises:
        ConfigError: both ``params.X`` and ``sweep.X`` were typed.
    """
    sweep: dict[str, Any] = raw.get("sweep") or {}
    typed = {o.lstrip("+~").split("=", 1)[0] for o in overrides}
    for key in sorted(typed):
        group, _, name = key.partition(".")
        axis = {"params": name, "provider": "model" if name == "model" else ""}.get(group, "")
        if not axis or axis not in sweep:
            continue
        if f"sweep.{axis}" in typed:
            raise ConfigError(f"`{key}` and `sweep.{axis}` are both given", hint="keep one of them")
        del sweep[axis]


def _swept_providers(raw: dict[str, Any]) -> dict[str, Any]:
    """Configurations of the providers that a ``provider`` axis names."""
    sweep: dict[str, Any] = raw.get("sweep") or {}
    names: list[Any] = sweep.get("provider") or []
    found: dict[str, Any] = {}
    for name in names if isinstance(names, list) else []:  # pyright: ignore[reportUnnecessaryIsInstance]
        if name == raw["provider"]["name"]:
            continue
        folders = [Path.cwd() / "configs", shipped("configs")]
        paths = [folder / "provider" / f"{name}.yaml" for folder in folders]
        path = next((p for p in paths if p.is_file()), None)
        if path is None:
            options = sorted({p.stem for f in folders for p in f.glob("provider/*.yaml")})
            raise ConfigError(
                f"`sweep.provider` names `{name}`, and there is no configs/provider/{name}.yaml",
                hint=f"known: {', '.join(options)}",
            )
        found[str(name)] = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    return found
