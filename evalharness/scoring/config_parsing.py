"""Configuration into scorers: every error names the key as it is typed."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

import msgspec

from evalharness.errors import ConfigError
from evalharness.scoring.base import Scorer, json_type

T = TypeVar("T")

_AT = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<key>.+)`")
_MISSING = re.compile(r"Object missing required field `(?P<key>.+)`")
_OWN = re.compile(r"`(?P<key>\w+)`: (?P<problem>.+)", re.DOTALL)


def parse_with(raw: Sequence[Mapping[str, Any]], table: Mapping[str, type[Scorer]]) -> list[Scorer]:
    """Scorers of a ``scoring`` list, in its order, each with a ``label`` of its own.

    A scorer without a label takes its name (a function's own, of ``python``); the second of a name
    becomes ``name_2``.

    Raises:
        ConfigError: an unknown scorer or argument, a wrong type or range, two equal labels.

    """
    scorers: list[Scorer] = []
    taken: set[str] = set()
    for index, entry in enumerate(raw):
        where = f"scoring[{index}]"
        name, scorer = _parse_one(entry, where, table)
        label = scorer.label
        if label is None:
            own = scorer.called(name)
            label, count = own, 1
            while label in taken:
                count += 1
                label = f"{own}_{count}"
        elif label in taken:
            raise ConfigError(f"configuration key `{where}.label`: {label!r} is already taken")
        taken.add(label)
        scorers.append(msgspec.structs.replace(scorer, label=label))
    return scorers


def _parse_one(
    entry: Mapping[str, Any], where: str, table: Mapping[str, type[Scorer]]
) -> tuple[str, Scorer]:
    if not isinstance(entry, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(
            f"configuration key `{where}`: must be an object with a `name`, got {json_type(entry)}",
            hint="write it as {name: exact}",
        )
    fields = dict(entry)
    name = fields.pop("name", None)
    if not isinstance(name, str):
        raise ConfigError(
            f"configuration key `{where}.name`: the scorer's name is missing",
            hint=f"one of {', '.join(table)}",
        )
    if name not in table:
        raise ConfigError(
            f"configuration key `{where}.name`: no scorer is called {name!r}",
            hint=suggestion(name, table),
        )
    return name, convert(fields, table[name], where)


def convert(fields: dict[str, Any], kind: type[T], where: str) -> T:
    """Build a struct from plain data, strictly.

    Raises:
        ConfigError: naming the key at fault below ``where``.

    """
    try:
        return msgspec.convert(fields, kind, strict=True)
    except msgspec.ValidationError as error:
        _explain(str(error), fields, kind, where)


def _explain(text: str, fields: dict[str, Any], kind: type[Any], where: str) -> NoReturn:
    """Say a validation error in terms of the key as typed."""
    at = _AT.search(text)
    path = at["path"] if at else ""
    problem = _AT.sub("", text)
    inside = f"{where}.{path}" if path else where
    unknown = _UNKNOWN.match(problem)
    if unknown:
        known = [field.encode_name for field in msgspec.structs.fields(kind)]
        raise ConfigError(
            f"unknown configuration key `{inside}.{unknown['key']}`",
            hint=suggestion(unknown["key"], known),
        ) from None
    missing = _MISSING.match(problem)
    if missing:
        raise ConfigError(f"configuration key `{inside}.{missing['key']}` is missing") from None
    own = _OWN.match(problem)
    if own:
        raise ConfigError(f"configuration key `{inside}.{own['key']}`: {own['problem']}") from None
    got = f", got {fields[path]!r}" if path in fields else ""
    raise ConfigError(f"configuration key `{inside}`: {problem}{got}") from None


def suggestion(word: str, known: Collection[str]) -> str:
    """Suggest the nearest known word, or list them all."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"did you mean `{near[0]}`?" if near else f"known: {', '.join(known)}"
