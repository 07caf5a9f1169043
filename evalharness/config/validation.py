"""Plain data to a typed part of a configuration; an error names the key as it is typed."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, TypeVar, cast

import msgspec

from evalharness.errors import ConfigError
from evalharness.process.text import closest, did_you_mean

T = TypeVar("T")

_PATH = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")
_UNKNOWN_KEY = re.compile(r"Object contains unknown field `(?P<key>.+)`")
_MISSING_KEY = re.compile(r"Object missing required field `(?P<key>.+)`")
# A part's own check names the key first: "`b`: is the same as a", "`rate` must be above 0".
_OWN_CHECK = re.compile(r"`(?P<key>\w+)`(?P<problem>(?::| must be) .+)", re.DOTALL)
_TYPE_ERROR = re.compile(r"Expected `([^`]+)`(?:, got `[^`]+`)?(.*)$")
_TYPE_WORDS = {
    "int": "a whole number", "float": "a number", "str": "a text", "bool": "true or false",
    "object": "keys with values", "array": "a list", "decimal": "a number", "null": "null",
}  # fmt: skip


_SECRET_KEYS = re.compile(r"secret|api_key")


def convert(data: Any, kind: type[T], where: str = "") -> T:
    """Build a struct from plain data, strictly.

    Args:
        data: keys with values, as YAML or the command line gives them.
        kind: the struct.
        where: the key that holds ``data``, for messages; empty for a whole configuration.

    Raises:
        ConfigError: an unknown or missing key, a wrong type or a value out of range.
    """
    try:
        return msgspec.convert(data, kind, strict=True)
    except msgspec.ValidationError as error:
        raise explain(str(error), data, kind, where) from None


def explain(error: str, data: Any, kind: type[Any], where: str = "") -> ConfigError:
    """A validation error of msgspec in terms of the key as typed and the value given."""
    match = _PATH.search(error)
    problem = _PATH.sub("", error)
    path = _named_entry(data, match["path"], problem) if match else ""

    def key(name: str = "") -> str:
        return ".".join(part for part in (where, path, name) if part)

    if unknown := _UNKNOWN_KEY.match(problem):
        known = [str(field.encode_name) for field in _fields(_types_at(kind, path))]
        return ConfigError(
            f"unknown configuration key `{key(unknown['key'])}`",
            hint=suggest_name(unknown["key"], known) if known else None,
        )
    if missing := _MISSING_KEY.match(problem):
        return ConfigError(f"configuration key `{key(missing['key'])}` is missing")
    if own := _OWN_CHECK.match(problem):
        return ConfigError(f"configuration key `{key(own['key'])}`{own['problem']}")
    words = _words(_types_at(kind, path)) if problem.startswith("Invalid enum value") else []
    expected = f"must be {' or '.join(words)}" if words else _in_plain_words(problem)
    shown = _value_suffix(data, path)
    quoted = re.fullmatch(r", got (-?[\d.]+|True|False)", shown) if "text" in expected else None
    return ConfigError(
        f"configuration key `{key()}`: {expected}{shown}",
        # A judging's keys are typed without the name of the table.
        hint=f"in quotes it is a text: {key().removeprefix('judge.')}=\"'{quoted[1]}'\""
        if quoted
        else None,
    )


def _named_entry(data: Any, path: str, problem: str) -> str:
    """The path of the entry that is no text, where msgspec names only the table of texts."""
    table, ends, _ = path.rpartition("[...]")
    if not ends or "`str`" not in problem:
        return path
    value: Any = data
    for part in table.split("."):
        value = _as_table(value).get(part)
    wrong = [name for name, entry in _as_table(value).items() if not isinstance(entry, str)]
    return f"{table}.{wrong[0]}" if wrong else path


def _as_table(value: Any) -> dict[str, Any]:
    """The value where it is a table of keys; else an empty one."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def suggest_name(name: str, known: Collection[str]) -> str:
    """The hint for an unknown name: the known one that was probably meant, or all of them."""
    close = closest(name, known)
    return did_you_mean(f"`{close}`") if close else f"known: {', '.join(known)}"


def _value_suffix(data: Any, path: str) -> str:
    """The value at a path, as the end of a message; empty where there is none, or may be secret."""
    if not path or _SECRET_KEYS.search(path):
        return ""
    value: Any = data
    for part in re.findall(r"[^.\[\]]+", path):
        try:
            value = cast("Any", value[int(part)] if isinstance(value, list) else value[part])
        except (KeyError, IndexError, ValueError, TypeError):
            return ""
    return f", got {value!r}"


def _types_at(kind: type[Any], path: str) -> list[Any]:
    """What msgspec knows of the types that a key can hold; empty for a key of no part."""
    types: list[Any] = [msgspec.inspect.type_info(kind)]
    for name in re.findall(r"[^.\[\]]+|\[[^\]]*\]", path):
        if name.startswith("["):
            types = [kind.item_type for kind in types if hasattr(kind, "item_type")]
        else:
            types = [field.type for field in _fields(types) if field.encode_name == name]
        types += [member for union in types for member in getattr(union, "types", ())]
    return types


def _fields(types: list[Any]) -> list[Any]:
    return [field for kind in types for field in getattr(kind, "fields", ())]


def _words(types: list[Any]) -> list[str]:
    """The words that a key takes."""
    return [str(word) for kind in types for word in getattr(kind, "values", ())]


def _in_plain_words(problem: str) -> str:
    """What msgspec expected, in words: ``must be a whole number or null``."""
    match = _TYPE_ERROR.match(problem)
    if match is None:
        return problem
    if "matching regex" in match[2]:
        return "must be letters, digits, `.`, `_` and `-`, 64 at most, a letter or digit first"
    kinds = " or ".join(_TYPE_WORDS.get(kind, kind) for kind in match[1].split(" | "))
    return f"must be {kinds}{match[2]}"
