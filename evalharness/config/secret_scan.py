"""A scan for keys where they would be written down: in overrides, configurations and prompts.

A configuration holds the *name* of an environment variable, never a key: Hydra and the run folder
save configurations beside the results, and a command line is visible in the process list.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from evalharness.errors import ConfigError, DatasetError
from evalharness.process.environment import mark_as_secret, marked_values, secret_values
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
_NAMES_VARIABLE = re.compile(r"(?:^|\.)secret_headers\.[^.]+$")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SHORTEST_SECRET = 8
_HINT = (
    "put the key in an environment variable and its name in provider.api_key_env (or in "
    "provider.secret_headers.HEADER)"
)
_PROMPT_HINT = "take it out, and consider it known to others: make a new key at the provider"


def refuse_secrets_in_overrides(arguments: list[str]) -> None:
    """Stop before an override with a key in it is composed or saved anywhere.

    Raises:
        ConfigError: names the override's key, never its value.
    """
    for argument in arguments:
        name, _, value = argument.partition("=")
        _check(name.lstrip("+~"), value or argument)


def refuse_secrets_in_config(config: Mapping[str, Any]) -> None:
    """Stop when a composed configuration holds a key, for instance through ``${oc.env:…}``.

    Raises:
        ConfigError: names the configuration key, never its value.
    """
    strings = list(_strings(config, ""))
    for name, value in strings:
        if name.rpartition(".")[2] == "api_key_env" or _NAMES_VARIABLE.search(name):
            mark_as_secret(value)
    for name, value in strings:
        _check(name, value)


def refuse_secrets_in_prompts(prompts: Iterable[Prompt], settings: Iterable[Setting]) -> None:
    """Stop when a row, system prompt or template holds a key that this run sends with.

    It would be stored with the records, and be sent to whoever answers.

    Raises:
        DatasetError: names file and line, or the part of the configuration; never the key.
    """
    keys = [key for key in marked_values() if len(key) >= _SHORTEST_SECRET]
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


def _check(name: str, value: str) -> None:
    # What stands under `secret_headers` is the name of a variable, whatever the header's name is.
    names_variable = _NAMES_VARIABLE.search(name) and _VARIABLE.fullmatch(value)
    named_so = _SECRET_FIELD.search(name) and value not in ("", "null", "None")
    field = named_so and not names_variable
    if field or _KEY_SHAPE.search(value) or _is_environment_secret(value):
        shown = name if not _KEY_SHAPE.search(name) else "an argument"
        raise ConfigError(f"`{shown}` looks like it holds a key", hint=_HINT)


def _is_environment_secret(value: str) -> bool:
    return any(len(key) >= _SHORTEST_SECRET and key in value for key in secret_values())


def _strings(value: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, item in cast("Mapping[Any, Any]", value).items():
            yield from _strings(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list):
        for index, item in enumerate(cast("list[Any]", value)):
            yield from _strings(item, f"{name}[{index}]")
    elif isinstance(value, str):
        yield name, value
