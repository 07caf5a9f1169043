"""Where Hydra ends: command line → composed configuration → typed RunConfig.

The only module that knows Hydra and OmegaConf. :func:`hydra_command` runs Hydra's own main (so
``--cfg``, ``--info``, ``--help`` and ``-m`` mean what a Hydra user expects) and calls ``execute``
with the configurations: one for a plain run, several for a pooled multirun.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError

from evalharness import hints
from evalharness.config import RunConfig, parse
from evalharness.errors import EXIT_CONFIG, EXIT_OK, ConfigError, EvalharnessError
from evalharness.paths import shipped
from evalharness.secrets_guard import refuse_in_config, refuse_in_overrides


class Job(NamedTuple):
    """One composed configuration: typed, and as YAML to be saved beside the results."""

    config: RunConfig
    yaml: str


class Result(NamedTuple):
    """What a command came to; ``objective`` goes back to an optimising sweeper."""

    exit_code: int
    objective: float | None = None


# Where a list of scorers typed on the command line waits until it replaces the group's.
_SCORERS = "scoring_list"
# Hydra's switch for raising errors; without it they are printed, and the process ends.
_FULL = "HYDRA_FULL_ERROR"

Execute = Callable[[list[Job]], Result]


class _Invocation:
    """What the running command asked for and got; Hydra calls the task with a config alone."""

    execute: Execute | None = None
    result: Result | None = None
    error: EvalharnessError | None = None
    defect: Exception | None = None
    started: bool = False


_invocation = _Invocation()


def _on_this_machine(results_dir: str) -> str:
    """Where Hydra may put its own files of a multirun whose results root may be a URL."""
    from evalharness.store.place import results_root

    return str(results_root(results_dir))


OmegaConf.register_new_resolver("on_this_machine", _on_this_machine, replace=True)


def hydra_command(arguments: list[str], execute: Execute) -> int:
    """Compose ``arguments`` with Hydra, call ``execute`` and return the exit code.

    Raises:
        EvalharnessError: as raised by composing, checking or executing.
    """
    global _invocation  # noqa: PLW0603 - Hydra offers no other way to pass a value to its task
    refuse_in_overrides(arguments)
    arguments = _own_dataset(hints.in_order(arguments))
    _invocation = _Invocation()
    _invocation.execute = execute
    entry = hydra.main(
        version_base="1.3", config_path=str(shipped("configs").resolve()), config_name="config"
    )(_task)
    try:
        with _process_for_hydra([_addable(a) for a in arguments]):
            entry()
    except HydraException as error:
        raise _in_our_words(error, arguments) from None
    except OmegaConfBaseException as error:
        raise ConfigError(_one_line(error)) from None
    except MarkedYAMLError as error:
        raise hints.malformed(error) from None
    except SystemExit as stop:
        if not _invocation.started:  # Hydra has answered, or did not understand a flag
            return EXIT_CONFIG if stop.code else EXIT_OK
        if _invocation.error is None and _invocation.defect is None:
            raise
    if _invocation.defect is not None:
        raise _invocation.defect
    if _invocation.error is not None:
        raise _invocation.error
    return 0 if _invocation.result is None else _invocation.result.exit_code


@contextmanager
def _process_for_hydra(arguments: list[str]) -> Generator[None]:
    """Inside, the process is as Hydra wants it; afterwards, as it was.

    Hydra reads the command line itself, raises what it would print only where a variable says so,
    and puts handlers on the root logger that write to the standard output of that moment.
    """
    root = logging.getLogger()
    argv, full, handlers, level = sys.argv, os.environ.get(_FULL), [*root.handlers], root.level
    sys.argv, os.environ[_FULL] = ["evalharness", *arguments], "1"
    try:
        yield
    finally:
        sys.argv, root.handlers[:] = argv, handlers
        root.setLevel(level)
        if full is None:
            os.environ.pop(_FULL, None)
        else:
            os.environ[_FULL] = full


def _in_our_words(error: HydraException, arguments: list[str]) -> ConfigError:
    """What Hydra could not compose, with what to type instead."""
    text = str(error)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, name = error.missing_cfg_file.rpartition("/")
        hint = hints.for_option(group, name, list(error.options or ()))
        return ConfigError(f"there is no {group} `{name}`", hint=hint)
    unknown = re.search(r"Could not (?:override|append to config\.|delete) .*?'([^']+)'", text)
    if unknown:
        key = unknown[1]
        typed = (a.lstrip("+~").partition("=") for a in arguments)
        value = next((value for name, _, value in typed if name == key), "")
        return ConfigError(f"unknown configuration key `{key}`", hint=hints.for_key(key, value))
    several = re.search(r"Ambiguous value for argument '(.+)'", text)
    if several:
        override = several[1].lstrip("+")
        return ConfigError(
            f"`{override}` has several values without brackets", hint=hints.for_list(override)
        )
    hint = "KEY=VALUE; quote a value with commas, spaces or braces: KEY='\"a, b\"'"
    parsed = isinstance(error, OverrideParseException)
    return ConfigError(text.strip().splitlines()[0], hint=hint if parsed else None)


def _own_dataset(arguments: list[str]) -> list[str]:
    """With a dataset of one's own, the quickstart's sweep, scoring and limits do not apply."""
    typed = {key: value for key, _, value in (a.lstrip("+").partition("=") for a in arguments)}
    own = "dataset.path" in typed or typed.get("dataset", "quickstart") != "quickstart"
    return ["experiment=none", *arguments] if own and "experiment" not in typed else arguments


def _addable(argument: str) -> str:
    """Let ``sweep.<axis>=…`` and the like add keys without Hydra's ``+``."""
    if argument.startswith("scoring=["):
        # Hydra takes a list given to a group for names of options; a list of scorers is a value.
        return f"++{_SCORERS}={argument.removeprefix('scoring=')}"
    name, _, value = argument.partition("=")
    if name == "results_dir" and re.match(r"\w+://[^'\"]*=[^'\"]*$", value):
        return f"{name}='{value}'"  # Hydra reads a `=` in a value only between quotes
    if argument.startswith(("sweep.", "params.extra.", "provider.emulator.", "provider.headers.")):
        return f"++{argument}"
    return argument


def _task(config: DictConfig) -> float | None:
    """Hydra's task function: a job of its own run, unless the pooled launcher gathers them."""
    return run_jobs([config])


def run_jobs(configs: list[DictConfig]) -> float | None:
    """Execute composed configurations as one run and return its objective.

    An EvalharnessError is kept for :func:`hydra_command`: Hydra would print a stack trace.
    """
    _invocation.started = True
    execute = _invocation.execute
    try:
        jobs = [_job(config) for config in configs]
        if execute is None:  # inside another launcher's process
            from evalharness.commands.run import execute_run

            execute = execute_run
        _invocation.result = execute(jobs)
    except EvalharnessError as error:
        if HydraConfig.initialized() and _alone_in_a_process():
            raise
        _invocation.error = _placed(error, configs[0])
        return None
    except Exception as error:
        if HydraConfig.initialized() and _alone_in_a_process():
            raise
        # Hydra would print it itself, and with everything it quotes.
        _invocation.defect = error
        return None
    return _invocation.result.objective


def _placed(error: EvalharnessError, config: DictConfig) -> EvalharnessError:
    """The error, with the line of a configuration file where the key at fault stands in one."""
    if not isinstance(error, ConfigError):
        return error
    choices = OmegaConf.to_container(_hydra(config, "runtime.choices"))
    task: list[Any] = _hydra(config, "overrides.task") or []
    return hints.placed(error, [str(o) for o in task], cast("dict[str, Any]", choices))


def _alone_in_a_process() -> bool:
    return _invocation.execute is None


def _job(config: DictConfig) -> Job:
    ours = OmegaConf.masked_copy(config, [str(k) for k in config if k != "hydra"])
    missing = sorted(OmegaConf.missing_keys(ours), reverse=True)
    if missing:
        named = " and ".join(f"`{key}`" for key in missing)
        raise ConfigError(
            f"{named} {'have' if missing[1:] else 'has'} no value", hint=hints.for_missing(missing)
        )
    try:
        task: list[Any] = _hydra(config, "overrides.task") or []
        overrides = [str(override) for override in task]
        own_folder = _job_number(config)
        plain = OmegaConf.to_container(ours, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(_one_line(error), hint="give the key a value: KEY=VALUE") from None
    raw = cast("dict[str, Any]", plain)
    raw.pop("experiment", None)
    raw["scoring"] = raw.pop(_SCORERS, raw.get("scoring"))
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
        hint = hints.for_key(key[1]) if key else error.hint
        raise ConfigError(error.message, hint=hint) from None


def _one_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    key = next((line.split(":", 1)[1].strip() for line in text if "full_key:" in line), None)
    return f"configuration key `{key}`: {text[0]}" if key else text[0]


def _job_number(config: DictConfig) -> int | None:
    """The job's number when some other launcher gives each job a run folder of its own."""
    if _hydra(config, "mode") != RunMode.MULTIRUN:
        return None
    if str(_hydra(config, "launcher._target_")).endswith("PooledLauncher"):
        return None
    return int(_hydra(config, "job.num"))


def _hydra(config: DictConfig, key: str) -> Any:
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
