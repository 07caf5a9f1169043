"""Running Hydra: its main function, its process, its errors in our words."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, cast

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError

from evalharness.cli import suggestions
from evalharness.cli.compose import SCORER_LIST, Job, Result, composed_job, hydra_value, one_line
from evalharness.config.package_data import shipped
from evalharness.config.secret_scan import refuse_in_overrides
from evalharness.errors import EXIT_CONFIG, EXIT_OK, ConfigError, EvalharnessError

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


def hydra_command(arguments: list[str], execute: Execute) -> int:
    """Compose ``arguments`` with Hydra, call ``execute`` and return the exit code.

    Raises:
        EvalharnessError: as raised by composing, checking or executing.
    """
    global _invocation  # noqa: PLW0603 - Hydra offers no other way to pass a value to its task
    refuse_in_overrides(arguments)
    arguments = _own_dataset(suggestions.in_order(arguments))
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
        raise ConfigError(one_line(error)) from None
    except MarkedYAMLError as error:
        raise suggestions.malformed(error) from None
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
        hint = suggestions.for_option(group, name, list(error.options or ()))
        return ConfigError(f"there is no {group} `{name}`", hint=hint)
    unknown = re.search(r"Could not (?:override|append to config\.|delete) .*?'([^']+)'", text)
    if unknown:
        key = unknown[1]
        typed = (a.lstrip("+~").partition("=") for a in arguments)
        value = next((value for name, _, value in typed if name == key), "")
        return ConfigError(
            f"unknown configuration key `{key}`", hint=suggestions.for_key(key, value)
        )
    several = re.search(r"Ambiguous value for argument '(.+)'", text)
    if several:
        override = several[1].lstrip("+")
        return ConfigError(
            f"`{override}` has several values without brackets", hint=suggestions.for_list(override)
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
        return f"++{SCORER_LIST}={argument.removeprefix('scoring=')}"
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
        jobs = [composed_job(config) for config in configs]
        if execute is None:  # inside another launcher's process
            from evalharness.cli.commands.run import execute_run

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
    choices = OmegaConf.to_container(hydra_value(config, "runtime.choices"))
    task: list[Any] = hydra_value(config, "overrides.task") or []
    return suggestions.placed(error, [str(o) for o in task], cast("dict[str, Any]", choices))


def _alone_in_a_process() -> bool:
    return _invocation.execute is None
