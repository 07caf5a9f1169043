"""From a configuration that Hydra composed to a checked, typed RunConfig.

Only this module and :mod:`~evalharness.cli.hydra_main` know Hydra and OmegaConf.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple, cast

from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from evalharness.cli import suggestions
from evalharness.cli.axis_names import with_text_keys
from evalharness.config.models import RunConfig, parse_run_config
from evalharness.config.package_data import package_data_dir
from evalharness.config.secret_scan import refuse_secrets_in_config
from evalharness.config.workload import RUN_ROWS
from evalharness.config.yaml_breaks import write_with_separators
from evalharness.errors import ConfigError
from evalharness.parameters import PARAMETERS
from evalharness.plugins import plugin_names
from evalharness.providers.plugin_configs import find_plugin_provider
from evalharness.scoring.base import is_list
from evalharness.scoring.config_parsing import expand_entries


class ComposedConfig(NamedTuple):
    """One composed configuration: typed, and as YAML to be stored with the results."""

    config: RunConfig
    yaml: str


class CommandResult(NamedTuple):
    """The outcome of a command; ``objective`` is returned to an optimising sweeper."""

    exit_code: int
    objective: float | None = None


# The key under which Hydra composes a list of scorers from the command line.
SCORER_LIST = "scoring_list"
# The key under which Hydra composes axes that are given as one object (sweep={temperature: [0]}).
AXES_OBJECT = "sweep_axes"
# The key under which Hydra composes an axis that is an object (sweep.system={terse: …, polite: …}).
NAMED_AXES = "sweep_named"


def _local_results_root(results_dir: str) -> str:
    """A local folder for Hydra's own files of a multirun whose results root may be a URL."""
    from evalharness.store.remote.locations import results_root

    return str(results_root(results_dir))


# Included by the primary configuration, so that every parameter is a key that can be overridden.
ConfigStore.instance().store(name="parameters", node={"params": {p.name: None for p in PARAMETERS}})
OmegaConf.register_new_resolver("on_this_machine", _local_results_root, replace=True)


def compose_config(config: DictConfig) -> ComposedConfig:
    """A composed configuration, checked: typed, and as YAML."""
    own = OmegaConf.masked_copy(config, [str(k) for k in config if k != "hydra"])
    _fill_swept_model(own)
    if OmegaConf.select(own, "provider.base_urls") and OmegaConf.is_missing(
        own["provider"], "base_url"
    ):
        own["provider"]["base_url"] = None  # they stand in its place
    missing = sorted(OmegaConf.missing_keys(own), reverse=True)
    if missing:
        named = " and ".join(f"`{key}`" for key in missing)
        raise ConfigError(
            f"{named} {'have' if missing[1:] else 'has'} no value",
            hint=suggestions.suggest_missing(missing),
        )
    try:
        task: list[Any] = hydra_value(config, "overrides.task") or []
        overrides = [str(override) for override in task]
        job_number = _job_number(config)
        plain = OmegaConf.to_container(own, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(hydra_message(error), hint="give the key a value: KEY=VALUE") from None
    raw = cast("dict[str, Any]", plain)
    raw.pop("experiment", None)
    raw["scoring"] = _scorer_list(raw.pop(SCORER_LIST, raw.get("scoring")))
    raw["sweep"] = _merge_axes(raw)
    refuse_secrets_in_config(raw)
    _drop_fixed_axes(raw, overrides)
    _take_replayed_dataset(raw, overrides)
    stored = cast("dict[str, Any]", raw.get("providers") or {})
    raw["providers"] = _axis_providers(raw, stored)
    if job_number is not None:
        raw["name"] = f"{raw['name']}-{job_number}"
    stored = write_with_separators(raw, lambda value: OmegaConf.to_yaml(OmegaConf.create(value)))
    return ComposedConfig(_parse(raw), stored)


def _scorer_list(scoring: Any) -> Any:
    """A list of scorers with presets and names as objects; what is no list is refused later."""
    return expand_entries(scoring) if is_list(scoring) else scoring


def _merge_axes(raw: dict[str, Any]) -> dict[str, Any]:
    """The sweep with what was typed as objects; a single axis comes over all of them."""
    merged: dict[str, Any] = {}
    for part in (raw.pop(AXES_OBJECT, None), raw.get("sweep"), raw.pop(NAMED_AXES, None)):
        for key, value in cast("dict[str, Any]", part or {}).items():
            both = isinstance(value, dict) and isinstance(merged.get(key), dict)
            is_group = both and key in ("extra", "load", "params", "dataset")
            merged[key] = merged[key] | value if is_group else value
    return cast("dict[str, Any]", with_text_keys(merged))


def _fill_swept_model(config: DictConfig) -> None:
    """Where ``sweep.model`` names the models, ``provider.model`` needs no value of its own."""
    if not OmegaConf.is_missing(config.provider, "model"):
        return
    for place in (NAMED_AXES, "sweep", AXES_OBJECT):
        models = OmegaConf.select(config, f"{place}.model")
        if models and (OmegaConf.is_list(models) or OmegaConf.is_dict(models)):
            values = list(models.values() if OmegaConf.is_dict(models) else models)
            config.provider.model = str(values[0])
            return


def _parse(raw: dict[str, Any]) -> RunConfig:
    """The typed configuration; an unknown key gets a suggestion."""
    try:
        return parse_run_config(raw)
    except ConfigError as error:
        key = re.match(r"unknown configuration key `(.+)`", error.message)
        hint = suggestions.suggest_key(key[1]) if key else error.hint
        raise ConfigError(error.message, hint=hint) from None


def hydra_message(error: Exception) -> str:
    """The message of an OmegaConf error in one line, with the key it is about."""
    text = str(error).strip().splitlines()
    key = next((line.split(":", 1)[1].strip() for line in text if "full_key:" in line), None)
    return f"configuration key `{key}`: {text[0]}" if key else text[0]


def _job_number(config: DictConfig) -> int | None:
    """The job's number when another launcher than ours gives each job its own run folder."""
    if hydra_value(config, "mode") != RunMode.MULTIRUN:
        return None
    if str(hydra_value(config, "launcher._target_")).endswith("PooledLauncher"):
        return None
    return int(hydra_value(config, "job.num"))


def hydra_value(config: DictConfig, key: str) -> Any:
    """A value of Hydra's own configuration, which only jobs of the pooled launcher contain."""
    if "hydra" in config:
        return OmegaConf.select(config, f"hydra.{key}")
    return OmegaConf.select(HydraConfig.instance().cfg, f"hydra.{key}")  # pyright: ignore[reportArgumentType]


def _drop_fixed_axes(raw: dict[str, Any], overrides: list[str]) -> None:
    """``params.X=v`` on the command line fixes X, and removes an axis X that a preset sweeps.

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


def _take_replayed_dataset(raw: dict[str, Any], overrides: list[str]) -> None:
    """``load.from=RUN`` sends the rows of that run, unless a dataset was typed."""
    load: dict[str, Any] = raw.get("load") or {}
    typed = {o.lstrip("+~").split("=", 1)[0].split(".", 1)[0] for o in overrides}
    if load.get("from") is not None and not typed & {"dataset", "experiment"}:
        raw["dataset"] = {"path": RUN_ROWS}


def _axis_providers(raw: dict[str, Any], stored: dict[str, Any]) -> dict[str, Any]:
    """Configurations of the providers that a ``provider`` axis names; ``stored`` ones as they are.

    Raises:
        ConfigError: there is none of such a name, or its model has no value.
    """
    sweep: dict[str, Any] = raw.get("sweep") or {}
    names: list[Any] = sweep.get("provider") or []
    configs: dict[str, Any] = {}
    for name in names if isinstance(names, list) else []:  # pyright: ignore[reportUnnecessaryIsInstance]
        if not isinstance(name, str):
            raise ConfigError(
                "`sweep.provider` holds names of providers, and one value is none",
                hint="a file configs/provider/NAME.yaml for each, then sweep.provider=[NAME,…]",
            )
        if name == raw["provider"]["name"]:
            continue
        if name in stored:
            configs[str(name)] = stored[name]
            continue
        folders = [Path.cwd() / "configs", package_data_dir("configs")]
        paths = [folder / "provider" / f"{name}.yaml" for folder in folders]
        path = next((p for p in paths if p.is_file()), None)
        plugin = find_plugin_provider(str(name)) if path is None else None
        if path is None and plugin is None:
            files = {p.stem for f in folders for p in f.glob("provider/*.yaml")}
            options = sorted(files | set(plugin_names("providers")))
            raise ConfigError(
                f"`sweep.provider` names `{name}`, and there is no configs/provider/{name}.yaml",
                hint=f"known: {', '.join(options)}",
            )
        loaded = OmegaConf.create(plugin) if path is None else OmegaConf.load(path)
        config = cast("dict[str, Any]", OmegaConf.to_container(loaded, resolve=True))
        if config.get("model") == "???" and not sweep.get("model"):
            raise ConfigError(
                f"`sweep.provider` names `{name}`, whose model has no value",
                hint="sweep.model=[NAME] names the models that every provider is asked for",
            )
        configs[str(name)] = config
    return configs
