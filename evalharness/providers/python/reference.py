"""Finding the function that ``provider.call`` names, and telling its code from other code."""

from __future__ import annotations

import ast
import hashlib
import importlib
import inspect
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from evalharness.errors import ConfigError, EvalharnessError
from evalharness.process.text import closest, did_you_mean

Function = Callable[..., Any]
_MAX_SOURCES = 200
# Functions that were passed as objects, by their reference: a configuration holds text alone.
_passed: dict[str, Function] = {}


def register_function(function: Function) -> str:
    """Remember a function that was passed as an object; returns its reference."""
    if not callable(function):
        raise ConfigError(
            f"`call` must be a function, got {type(function).__name__}",
            hint="async def call(prompt, params, attempt): return TEXT",
        )
    target = function if hasattr(function, "__qualname__") else type(function)
    reference = f"{target.__module__}:{target.__qualname__}"
    _passed[reference] = function
    return reference


def find_function(reference: str) -> Function:
    """The function of a reference ``module:function``.

    Modules are looked for in the working directory first, as ``python -m`` does.

    Raises:
        ConfigError: no such module or function, or the module fails when it is imported.
    """
    if reference in _passed:
        return _passed[reference]
    module_name, separator, name = reference.partition(":")
    if not separator or not module_name or not name:
        raise ConfigError(
            f"`provider.call` must be module:function, got {reference!r}",
            hint="provider.call=my_module:my_function, from the file my_module.py",
        )
    module = _import(module_name)
    value: Any = module
    for part in name.split("."):
        names: list[str] = [n for n in dir(value) if not n.startswith("_")]
        if not hasattr(value, part):
            near = closest(part, names)
            raise ConfigError(
                f"`provider.call`: {module_name} has no {name!r}",
                hint=did_you_mean(f"provider.call={module_name}:{near}") if near else None,
            )
        value = getattr(value, part)
    if not callable(value):
        raise ConfigError(f"`provider.call`: {reference} is no function")
    return value


def _import(name: str) -> ModuleType:
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    except EvalharnessError:
        raise
    except ModuleNotFoundError as error:
        if error.name is not None and not f"{name}.".startswith(f"{error.name}."):
            raise ConfigError(f"`provider.call`: {name} needs {error.name}: {error}") from None
        raise ConfigError(
            f"`provider.call`: there is no module {name!r}",
            hint="it is looked for in the working directory and among installed packages",
        ) from None
    except Exception as error:
        raise ConfigError(
            f"`provider.call`: {name} cannot be imported: {type(error).__name__}: {error}"
        ) from None


def function_identity(reference: str) -> str:
    """Which code a reference means: ``python:module:function:HASH``, the endpoint of its settings.

    The hash is over the source of the function and of everything at the top level of its module
    that it uses, directly or through others: a changed helper is other code, a changed comment
    elsewhere in the file is not. Code of other modules is not looked at. Where there is no source,
    the compiled code counts.

    Raises:
        ConfigError: see :func:`find_function`.
    """
    function = find_function(reference)
    digest = hashlib.sha256()
    for text in _sources(function):
        digest.update(text.encode() + b"\0")
    return f"python:{reference}:{digest.hexdigest()[:16]}"


def _sources(function: Function) -> list[str]:
    unwrapped: Any = inspect.unwrap(function)
    is_instance = not hasattr(unwrapped, "__qualname__")
    target: Any = cast("Any", type(unwrapped)) if is_instance else unwrapped
    module = sys.modules.get(target.__module__)
    names_in_module = vars(module) if module is not None else {}
    pending, seen, texts = [target], {id(target)}, list[str]()
    while pending and len(texts) < _MAX_SOURCES:
        item = pending.pop(0)
        text = _source(item)
        texts.append(text)
        for name in sorted(_names_used(text, item)):
            used = names_in_module.get(name)
            own = getattr(used, "__module__", None) == target.__module__
            if own and (inspect.isfunction(used) or inspect.isclass(used)) and id(used) not in seen:
                seen.add(id(used))
                pending.append(used)
            elif isinstance(used, str | int | float | bool | bytes | tuple | frozenset):
                texts.append(f"{name}={used!r}")
    return texts


def _source(item: Any) -> str:
    try:
        return textwrap.dedent(inspect.getsource(item))
    except (OSError, TypeError):
        code = getattr(item, "__code__", None)
        return repr(item) if code is None else f"{code.co_code!r}{code.co_consts!r}{code.co_names}"


def _names_used(text: str, item: Any) -> set[str]:
    try:
        return {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
    except SyntaxError:  # a lambda in the middle of a line
        code = getattr(item, "__code__", None)
        return set() if code is None else set(code.co_names)
