"""Refuse keys where they would be written down: in overrides, configs and file names.

A configuration holds the *name* of an environment variable, never a key: Hydra and the run folder
save configurations beside the results, and a command line is visible in the process list.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from evalharness.errors import ConfigError, DatasetError
from evalharness.records import Prompt, Setting, canonical_json

# Prefixes that providers give their keys, followed by a long run of key characters.
_KEY_SHAPE = re.compile(
    r"(?<![A-Za-z0-9])(?:sk|pk|rk|gsk|xai|hf|key|pplx|nvapi|AIza)[-_]?[A-Za-z0-9_\-]{20,}"
    r"|\bBearer\s+[A-Za-z0-9._\-]{12,}"
)
_SECRET_FIELD = re.compile(
    r"(?:^|[._-])(?:api[_-]?key|authorization|x-api-key|api-key|access[_-]?token|secret|password"
    r"|cookie)$",
    re.IGNORECASE,
)
_SECRET_VARIABLE = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)
_SHORTEST_SECRET = 8
# Variables that configurations of this process named as holding a key, whatever they are called.
_named: set[str] = set()
_HINT = "put the key in an environment variable and its name in provider.api_key_env"
_PROMPT_HINT = "take it out, and consider it known to others: make a new key at the provider"


def refuse_in_overrides(arguments: list[str]) -> None:
    """Stop before an override with a key in it is composed or saved anywhere.

    Raises:
        ConfigError: names the override's key, never its value.
    """
    for argument in arguments:
        name, _, value = argument.partition("=")
        _check(name.lstrip("+~"), value or argument)


def refuse_in_config(config: Mapping[str, Any]) -> None:
    """Stop when a composed configuration holds a key, for instance through ``${oc.env:…}``.

    Raises:
        ConfigError: names the configuration key, never its value.
    """
    found = list(_strings(config, ""))
    for name, value in found:
        if name.rpartition(".")[2] == "api_key_env":
            remember(value)
    for name, value in found:
        _check(name, value)


def refuse_in_prompts(prompts: Iterable[Prompt], settings: Iterable[Setting]) -> None:
    """Stop when a row, system prompt or template holds a key that this run sends with.

    It would be stored with the records, and be sent to whoever answers.

    Raises:
        DatasetError: names file and line, or the part of the configuration; never the key.
    """
    keys = [key for name in sorted(_named) if len(key := _value(name)) >= _SHORTEST_SECRET]
    forms = [form.encode() for key in keys for form in {key, json.dumps(key)[1:-1]}]
    if not forms:
        return
    for prompt in prompts:
        if any(form in canonical_json(prompt) for form in forms):
            where = prompt.source or f"prompt {prompt.prompt_id}"
            raise DatasetError(f"{where} holds a key of this run", hint=_PROMPT_HINT)
    for setting in settings:
        for part in ("system", "template"):
            text = getattr(setting, part) or ""
            if any(form.decode() in text for form in forms):
                raise DatasetError(f"dataset.{part} holds a key of this run", hint=_PROMPT_HINT)


def remember(variable: str) -> None:
    """Treat an environment variable as one that holds a key, whatever its name."""
    _named.add(variable)


def environment_without_secrets() -> dict[str, str]:
    """The environment for a child process that needs no key: variables with secrets left out."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in _named and not _SECRET_VARIABLE.search(name)
    }


def _value(variable: str) -> str:
    return os.environ.get(variable, "").strip()


def _check(name: str, value: str) -> None:
    field = _SECRET_FIELD.search(name) and value not in ("", "null", "None")
    if field or _KEY_SHAPE.search(value) or _is_environment_secret(value):
        shown = name if not _KEY_SHAPE.search(name) else "an argument"
        raise ConfigError(f"`{shown}` looks like it holds a key", hint=_HINT)


def _is_environment_secret(value: str) -> bool:
    return any(
        len(secret) >= _SHORTEST_SECRET and secret in value
        for variable, secret in os.environ.items()
        if variable in _named or _SECRET_VARIABLE.search(variable)
    )


def _strings(value: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, item in cast("Mapping[Any, Any]", value).items():
            yield from _strings(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list):
        for index, item in enumerate(cast("list[Any]", value)):
            yield from _strings(item, f"{name}[{index}]")
    elif isinstance(value, str):
        yield name, value
