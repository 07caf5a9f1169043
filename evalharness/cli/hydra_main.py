"""Running Hydra: its main function, the process state it needs, its errors in our words.

:func:`hydra_command` runs Hydra's own main (so ``--cfg``, ``--info``, ``--help`` and ``-m`` mean
what a Hydra user expects) and calls ``execute`` with the configurations: one for a plain run,
several for a pooled multirun.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError

from evalharness.cli import suggestions
from evalharness.cli.compose import (
    CommandResult,
    ComposedConfig,
    compose_config,
    hydra_message,
    hydra_value,
)
from evalharness.cli.overrides import adapt_override, refuse_run_folder
from evalharness.config.package_data import package_data_dir
from evalharness.config.secret_scan import refuse_secrets_in_overrides
from evalharness.errors import EXIT_CONFIG, EXIT_OK, ConfigError, EvalharnessError

# With this variable Hydra raises errors; without it, it prints them and ends the process.
_FULL_ERROR_VARIABLE = "HYDRA_FULL_ERROR"


Execute = Callable[[list[ComposedConfig]], CommandResult]


class _Invocation:
    """The running command and its result: Hydra passes its task nothing but a configuration."""

    execute: Execute | None = None
    result: CommandResult | None = None
    error: EvalharnessError | None = None
    defect: Exception | None = None
    started: bool = False


_invocation = _Invocation()
# Hydra's own state belongs to the process: one composition at a time.
_composing = threading.Lock()


def hydra_command(arguments: list[str], execute: Execute, *, command: str = "run") -> int:
    """Compose ``arguments`` with Hydra, call ``execute`` and return the exit code.

    Args:
        arguments: overrides, and flags of Hydra.
        execute: is called with the configurations.
        command: the one that was typed, whose help a message names.

    Raises:
        EvalharnessError: as raised by composing, checking or executing.
    """
    global _invocation  # noqa: PLW0603 - Hydra offers no other way to pass a value to its task
    refuse_secrets_in_overrides(arguments)
    refuse_run_folder(arguments)
    arguments = _without_quickstart(suggestions.reorder_flags(arguments, command))
    _invocation = _Invocation()
    _invocation.execute = execute
    entry = hydra.main(
        version_base="1.3",
        config_path=str(package_data_dir("configs").resolve()),
        config_name="config",
    )(_hydra_task)
    try:
        with _process_for_hydra([word for a in arguments for word in adapt_override(a)]):
            entry()
    except HydraException as error:
        raise explain_error(error, arguments) from None
    except OmegaConfBaseException as error:
        raise ConfigError(hydra_message(error)) from None
    except MarkedYAMLError as error:
        raise suggestions.yaml_error(error) from None
    except ValueError as error:
        if _invocation.started:
            raise
        # Flags that Hydra refuses together: `--resolve` without `--cfg`, `--run --multirun`.
        text = str(error).strip().splitlines()[0]
        raise ConfigError(text, hint=f"evalharness {command} --help") from None
    except SystemExit as stop:
        if not _invocation.started:  # Hydra printed what was asked for, or refused a flag
            return EXIT_CONFIG if stop.code else EXIT_OK
        if _invocation.error is None and _invocation.defect is None:
            raise
    if _invocation.defect is not None:
        raise _invocation.defect
    if _invocation.error is not None:
        raise _invocation.error
    return 0 if _invocation.result is None else _invocation.result.exit_code


def compose_with_values(arguments: list[str], values: Mapping[str, Any]) -> ComposedConfig:
    """Compose ``arguments`` without a command, and put values over what comes of them.

    Args:
        arguments: as typed on the command line.
        values: plain data by dotted key. A mapping adds to what is there, but a sweep is the
            whole sweep.

    Raises:
        ConfigError: a key or value that cannot be.
    """
    words = [word for argument in arguments for word in adapt_override(argument)]
    folder = str(package_data_dir("configs").resolve())
    try:
        with _composing, hydra.initialize_config_dir(folder, version_base="1.3"):
            config = hydra.compose("config", words, return_hydra_config=True)
            OmegaConf.set_struct(config, False)
            OmegaConf.set_readonly(config, False)
            for key, value in values.items():
                OmegaConf.update(config, key, _literal(value), merge=key != "sweep")
            return compose_config(config)
    except HydraException as error:
        raise explain_error(error, words) from None
    except OmegaConfBaseException as error:
        raise ConfigError(hydra_message(error)) from None


def compose_over(base: Mapping[str, Any], arguments: Sequence[str]) -> ComposedConfig:
    """Compose ``arguments`` over a primary configuration that is given in place of ours.

    Args:
        base: plain data, with its ``defaults``.
        arguments: overrides, as typed.

    Raises:
        ConfigError: a key or value that cannot be.
    """
    refuse_secrets_in_overrides([*arguments])
    words = [word for argument in arguments for word in adapt_override(argument)]
    folder = str(package_data_dir("configs").resolve())
    try:
        with _composing, hydra.initialize_config_dir(folder, version_base="1.3"):
            ConfigStore.instance().store(name="repeated_run", node=OmegaConf.create(dict(base)))
            return compose_config(hydra.compose("repeated_run", words, return_hydra_config=True))
    except HydraException as error:
        raise explain_error(error, [*arguments]) from None
    except OmegaConfBaseException as error:
        raise ConfigError(hydra_message(error)) from None


def _literal(value: Any) -> Any:
    """A value in which ``${`` is text, not an interpolation."""
    if isinstance(value, str):
        # Backslashes before it are doubled: of an odd number one would be taken for an escape.
        return re.sub(r"(\\*)\$\{", lambda match: f"{match[1] * 2}\\${{", value)
    if isinstance(value, dict):
        entries = cast("dict[str, Any]", value)
        return {key: _literal(item) for key, item in entries.items()}
    if isinstance(value, list):
        return [_literal(item) for item in cast("list[Any]", value)]
    return value


@contextmanager
def _process_for_hydra(arguments: list[str]) -> Generator[None]:
    """Set up process state for Hydra, and restore it afterwards.

    Hydra reads ``sys.argv`` itself, raises errors only where a variable says so, and adds handlers
    to the root logger that write to the current standard output.
    """
    root = logging.getLogger()
    argv, full, handlers, level = (
        sys.argv,
        os.environ.get(_FULL_ERROR_VARIABLE),
        [*root.handlers],
        root.level,
    )
    sys.argv, os.environ[_FULL_ERROR_VARIABLE] = ["evalharness", *arguments], "1"
    try:
        yield
    finally:
        sys.argv, root.handlers[:] = argv, handlers
        root.setLevel(level)
        if full is None:
            os.environ.pop(_FULL_ERROR_VARIABLE, None)
        else:
            os.environ[_FULL_ERROR_VARIABLE] = full


def explain_error(error: HydraException, arguments: list[str]) -> ConfigError:
    """What Hydra could not compose, with what to type instead."""
    text = str(error)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, name = error.missing_cfg_file.rpartition("/")
        if not group:  # --config-name
            return ConfigError(f"there is no configuration `{name}`", hint="--config-name config")
        hint = suggestions.suggest_option(group, name, list(error.options or ()))
        return ConfigError(f"there is no {group} `{name}`", hint=hint)
    unknown = re.search(r"Could not (?:override|append to config\.|delete) .*?'([^']+)'", text)
    if unknown:
        key = unknown[1]
        typed = (a.lstrip("+~").partition("=") for a in arguments)
        value = next((value for name, _, value in typed if name == key), "")
        return ConfigError(
            f"unknown configuration key `{key}`", hint=suggestions.suggest_key(key, value)
        )
    several = re.search(r"Ambiguous value for argument '(.+)'", text)
    if several:
        override = several[1].lstrip("+")
        return ConfigError(
            f"`{override}` has several values without brackets",
            hint=suggestions.suggest_list(override),
        )
    hint = "KEY=VALUE; quote a value with commas, spaces or braces: KEY='\"a, b\"'"
    parsed = isinstance(error, OverrideParseException)
    return ConfigError(text.strip().splitlines()[0], hint=hint if parsed else None)


def _without_quickstart(arguments: list[str]) -> list[str]:
    """Add ``experiment=none`` when the dataset is not the quickstart's.

    The quickstart's sweep, scoring and limits do not fit another dataset.
    """
    typed = {key: value for key, _, value in (a.lstrip("+").partition("=") for a in arguments)}
    own = "dataset.path" in typed or typed.get("dataset", "quickstart") != "quickstart"
    return ["experiment=none", *arguments] if own and "experiment" not in typed else arguments


def _hydra_task(config: DictConfig) -> float | None:
    """Hydra's task function, for a single job; the pooled launcher calls :func:`run_configs`."""
    return run_configs([config])


def run_configs(configs: list[DictConfig]) -> float | None:
    """Execute composed configurations as one run and return its objective.

    An EvalharnessError is stored for :func:`hydra_command`: Hydra would print a stack trace.
    """
    _invocation.started = True
    execute = _invocation.execute
    try:
        suggestions.refuse_separators(_choices(configs[0]))
        jobs = [compose_config(config) for config in configs]
        if execute is None:  # inside another launcher's process
            from evalharness.cli.execution.execute_run import execute_run

            execute = execute_run
        _invocation.result = execute(jobs)
    except EvalharnessError as error:
        if HydraConfig.initialized() and _in_other_launcher():
            raise
        _invocation.error = _with_location(error, configs[0])
        return None
    except Exception as error:
        if HydraConfig.initialized() and _in_other_launcher():
            raise
        # Hydra would print it, with all the values that its message quotes.
        _invocation.defect = error
        return None
    return _invocation.result.objective


def _with_location(error: EvalharnessError, config: DictConfig) -> EvalharnessError:
    """The error, with file and line where a configuration file holds the key at fault."""
    if not isinstance(error, ConfigError):
        return error
    task: list[Any] = hydra_value(config, "overrides.task") or []
    return suggestions.with_location(error, [str(o) for o in task], _choices(config))


def _choices(config: DictConfig) -> dict[str, Any]:
    """The options composed, by group."""
    return cast("dict[str, Any]", OmegaConf.to_container(hydra_value(config, "runtime.choices")))


def _in_other_launcher() -> bool:
    return _invocation.execute is None
