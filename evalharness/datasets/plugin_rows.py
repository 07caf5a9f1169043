"""Datasets that a reader of another package reads: ``dataset.path=NAME:REST``."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, time
from decimal import Decimal
from pathlib import Path, PurePath
from typing import Any, cast
from uuid import UUID

import msgspec

from evalharness.datasets.rows import Row, arrow_row
from evalharness.errors import DatasetError, EvalharnessError
from evalharness.plugins.entry_points import Plugin, describe_error, find_plugin, plugin_names
from evalharness.process.text import closest, did_you_mean

Reader = Callable[[str, Path], Iterable[Mapping[str, Any]]]
# At least two characters, since one is a drive.
_PREFIXED = re.compile(r"([A-Za-z][\w.-]+):(.*)", re.DOTALL)


def find_reader(text: str, root: Path) -> Plugin | None:
    """The plugin that reads a path; None for a file, and where no package has a reader for it.

    Raises:
        PluginError: several packages have one of this name.
    """
    match = _PREFIXED.fullmatch(text)
    if match is None or (root / text).is_file():
        return None
    return find_plugin("datasets", match[1])


def suggest_reader(text: str) -> str | None:
    """The hint for a path that begins like ``NAME:``; None for another."""
    match = _PREFIXED.fullmatch(text)
    if match is None:
        return None
    known = plugin_names("datasets")
    close = closest(match[1], known)
    if close is not None:
        return did_you_mean(f"{close}:{match[2]}")
    return f"no installed package reads `{match[1]}:`" + (
        f"; there are {', '.join(f'{name}:' for name in known)}" if known else ""
    )


def import_reader(plugin: Plugin) -> Reader:
    """The function of a plugin.

    Raises:
        PluginError: it cannot be imported, or takes other arguments.
    """
    value: Any = plugin.import_value()
    if not callable(value):
        raise plugin.problem(f"must be a function, got {value!r:.80}")
    try:
        inspect.signature(value).bind("", Path())
    except TypeError:
        raise plugin.problem("must be a function of (name, root)") from None
    except ValueError:  # no signature, as for some functions written in C
        pass
    return cast("Reader", value)


def read_plugin_rows(plugin: Plugin, text: str, root: Path) -> Iterator[Row]:
    """The rows that a reader gives for what stands behind the colon of ``text``.

    Raises:
        PluginError: the plugin cannot be used.
        DatasetError: it failed, or gave something that is no row, with the number of the row.
    """
    reader = import_reader(plugin)
    rows = _guarded_rows(reader, plugin, text, root)
    for number, columns in enumerate(rows, 1):
        location = f"{text}:row {number}"
        if not isinstance(columns, Mapping):
            raise DatasetError(
                f"{location}: {plugin} must give rows as mappings, got {type(columns).__name__}",
                hint='for instance {"prompt": "…", "target": "…"}',
            )
        fields = dict(cast("Mapping[str, Any]", columns))
        try:
            # Tuples become lists; bytes stay what they are, to be refused.
            plain = msgspec.to_builtins(fields, builtin_types=(bytes,), enc_hook=_plain)
        except (TypeError, ValueError) as error:
            raise DatasetError(f"{location}: {plugin}: {error}") from None
        yield arrow_row(location, plain)


def _plain(value: Any) -> Any:
    """A number of numpy as a number; times, decimals, paths and ids as their text.

    Raises:
        TypeError: the text of anything else may hold an address in memory.
    """
    if hasattr(value, "item"):
        return value.item()
    if isinstance(value, date | time | Decimal | PurePath | UUID):
        return str(value)
    raise TypeError(f"a value of type {type(value).__name__} cannot be stored")


def _guarded_rows(reader: Reader, plugin: Plugin, text: str, root: Path) -> Iterator[Any]:
    """What the reader gives; whatever it raises is an error that names the row."""
    number = 0
    try:
        for row in reader(text.partition(":")[2], root):
            number += 1
            yield row
    except EvalharnessError:
        raise
    except (Exception, SystemExit) as error:
        after = f" after row {number}" if number else ""
        raise DatasetError(
            f"dataset.path: {text}: {plugin} failed{after}: {describe_error(error)[:300]}"
        ) from None
