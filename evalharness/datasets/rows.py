"""Dataset files as rows: plain dicts, each with the place it stands in.

Each reader goes through the whole file, row by row, and refuses what it cannot read exactly; what
a row means is decided in :mod:`.prompts`. A *place* is what a person needs to find the row:
``file:line`` for text files, ``file:row N`` where there are no lines.
"""

from __future__ import annotations

import codecs
import csv
import difflib
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TextIO, cast

import msgspec

from evalharness.config import strict_yaml
from evalharness.errors import DatasetError

MAX_CELL = 1 << 27  # characters of one CSV cell

SUFFIXES = (".jsonl", ".csv", ".parquet", ".yaml", ".yml")


class Row(NamedTuple):
    """One row: where it stands, and its columns."""

    place: str
    columns: dict[str, Any]


def read_rows(path: Path, name: str) -> Iterator[Row]:
    """The rows of a dataset file.

    Args:
        path: the file.
        name: how messages call it.

    Raises:
        DatasetError: an unknown suffix, or anything malformed, with its place.
    """
    readers: dict[str, Callable[[Path, str], Iterator[Row]]] = {
        ".jsonl": _jsonl, ".csv": _csv, ".parquet": _parquet, ".yaml": _yaml, ".yml": _yaml,
    }  # fmt: skip
    suffix = path.suffix.lower()
    if suffix not in readers:
        hint = f"use one of {', '.join(SUFFIXES)}, or hf:<name> for Hugging Face datasets"
        if suffix == ".json":
            hint = "write one object a line and call it .jsonl"
        raise DatasetError(
            f"{name}: cannot tell the format from {suffix or 'no suffix'}", hint=hint
        )
    try:
        yield from readers[suffix](path, name)
    except OSError as error:
        beside = [p.name for p in path.parent.glob("*") if p.suffix.lower() in SUFFIXES]
        close = difflib.get_close_matches(path.name, beside, n=1)
        hint = f"did you mean {path.parent / close[0]}?" if close else "give the path of a file"
        raise DatasetError(f"cannot read {name}: {error.strerror or error}", hint=hint) from None


def _text(path: Path, name: str) -> str:
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        was = "UTF-16" if wide else "WINDOWS-1252"
        raise DatasetError(
            f"{name}:{line}: not valid UTF-8 (byte 0x{data[error.start]:02x})",
            hint=f"convert it: iconv -f {was} -t UTF-8 {name} > fixed{path.suffix}",
        ) from None


# --- JSONL -----------------------------------------------------------------------------------


def _jsonl(path: Path, name: str) -> Iterator[Row]:
    _text(path, name)  # a bad byte is found with its line, before any row is given
    decode = msgspec.json.Decoder().decode
    with path.open(encoding="utf-8-sig", newline="\n") as file:
        yield from _objects(file, name, decode)


def _objects(lines: Iterable[str], name: str, decode: Callable[[str], Any]) -> Iterator[Row]:
    for number, line in enumerate(lines, 1):
        line = line.removesuffix("\n")
        if not line or line.isspace():
            continue
        place = f"{name}:{number}"
        try:
            value = decode(line)
        except (msgspec.MsgspecError, RecursionError):
            _explain_json(line, place)
        # msgspec keeps the last of two equal keys. Each key written shows as `":`, so more of
        # those than keys kept means a repeated key, or such a text inside a string.
        if len(_KEY_MARK.findall(line)) != _count_keys(value):
            strict_json(line, place)
        if not isinstance(value, dict):
            raise DatasetError(
                f"{place}: a row must be an object, got {_json_name(value)}",
                hint='write one object a line, such as {"id": "q1", "prompt": "…"}',
            )
        yield Row(place, value)  # pyright: ignore[reportUnknownArgumentType]


_KEY_MARK = re.compile(r'"\s*:')


def _count_keys(value: Any) -> int:
    """Keys in all objects of decoded JSON (which holds exact types, so ``type`` suffices)."""
    count = 0
    if type(value) is dict:
        items = cast("dict[str, Any]", value)
        count, value = len(items), items.values()
    elif type(value) is not list:
        return 0
    for item in cast("Iterable[Any]", value):
        if type(item) is dict or type(item) is list:
            count += _count_keys(item)
    return count


def strict_json(text: str, place: str) -> Any:
    """A JSON value without repeated keys, NaN, infinities or lone surrogates.

    Raises:
        DatasetError: with the place and, for malformed text, the column.
    """

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(items)
        if len(result) != len(items):
            names = [key for key, _ in items]
            twice = next(key for key in names if names.count(key) > 1)
            raise DatasetError(
                f"{place}: key {twice!r} appears twice in one object",
                hint="keep one of them; which was meant cannot be known",
            )
        return result

    def constant(word: str) -> NoReturn:
        raise DatasetError(f"{place}: {word} is not a JSON number", hint="write null for unknown")

    try:
        value = json.loads(text, object_pairs_hook=pairs, parse_constant=constant)
    except json.JSONDecodeError as error:
        raise DatasetError(f"{place}: malformed JSON, column {error.colno}: {error.msg}") from None
    except (RecursionError, ValueError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise DatasetError(f"{place}: malformed JSON: {reason}") from None
    check_plain(value, place)
    return value


def _explain_json(line: str, place: str) -> NoReturn:
    """Say what msgspec refused in terms of line and column."""
    strict_json(line, place)
    raise DatasetError(f"{place}: malformed JSON")


def _json_name(value: Any) -> str:
    kinds = ((list, "a list"), (str, "a text"), (bool, "a boolean"), (int | float, "a number"))
    return next((name for kind, name in kinds if isinstance(value, kind)), "null")


def check_plain(value: Any, place: str, key: str = "") -> None:
    """Refuse what JSON cannot hold: numbers that are not finite, broken text, other types.

    Raises:
        DatasetError: naming the place and the key.
    """
    at = f" in {key}" if key else ""
    if isinstance(value, str):
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise DatasetError(f"{place}: half a surrogate pair{at} is no text") from None
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise DatasetError(f"{place}: {value}{at} is not a finite number", hint="write null")
    elif isinstance(value, dict):
        items = cast("dict[Any, Any]", value)
        for name, item in items.items():
            if not isinstance(name, str):
                raise DatasetError(f"{place}: key {name!r}{at} is not text")
            check_plain(name, place, key)
            check_plain(item, place, f"{key}.{name}" if key else name)
    elif isinstance(value, list):
        elements = cast("list[Any]", value)
        for element in elements:
            check_plain(element, place, key)
    elif value is not None and not isinstance(value, bool | int):
        raise DatasetError(
            f"{place}: a value of type {type(value).__name__}{at} has no JSON form",
            hint="store it as text or as numbers",
        )


# --- CSV -------------------------------------------------------------------------------------


def _csv(path: Path, name: str) -> Iterator[Row]:
    _text(path, name)  # a bad byte is found with its line, before any row is given
    limit = csv.field_size_limit(MAX_CELL)  # global: put back when the rows end or are let go
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from _csv_rows(file, name)
    finally:
        csv.field_size_limit(limit)


def _csv_rows(file: TextIO, name: str) -> Iterator[Row]:
    reader = csv.reader(file, strict=True)
    header: list[str] | None = None
    start = 1
    try:
        for cells in reader:
            place, start = f"{name}:{start}", reader.line_num + 1
            if not cells:
                continue
            if header is None:
                header = _header(cells, place)
            elif len(cells) != len(header):
                raise DatasetError(
                    f"{place}: {len(cells)} cells, but the header names {len(header)} columns",
                    hint="put cells that hold commas or line breaks in double quotes",
                )
            else:
                yield Row(place, dict(zip(header, cells, strict=True)))
    except csv.Error as error:
        if "unexpected end" in str(error):
            raise DatasetError(
                f"{name}:{start}: malformed CSV: a quote in the row that begins here is not closed",
                hint='write a quote inside a quoted cell twice: ""',
            ) from None
        raise DatasetError(f"{name}:{reader.line_num}: malformed CSV: {error}") from None


def _header(cells: list[str], place: str) -> list[str]:
    names = [cell.strip() for cell in cells]
    for mark, called in ((";", "semicolons"), ("\t", "tabs")):
        if len(names) == 1 and mark in names[0]:
            raise DatasetError(
                f"{place}: its columns stand between {called}, and commas are expected",
                hint="save it with commas, or as JSONL",
            )
    for position, column in enumerate(names, 1):
        if not column:
            raise DatasetError(f"{place}: column {position} has no name")
        if names.count(column) > 1:
            raise DatasetError(f"{place}: column {column!r} appears twice")
    return names


# --- YAML, Parquet ---------------------------------------------------------------------------


def _yaml(path: Path, name: str) -> Iterator[Row]:
    try:
        items = strict_yaml.load_items(_text(path, name))
    except strict_yaml.YamlError as error:
        line = "" if error.line is None else f":{error.line}"
        column = "" if error.column is None else f" (column {error.column})"
        raise DatasetError(f"{name}{line}: {error.message}{column}") from None
    for item in items:
        place = f"{name}:{item.line}"
        value: Any = item.value
        if not isinstance(value, dict):
            raise DatasetError(
                f"{place}: a row must be a mapping, got {_json_name(value)}",
                hint="write rows as '- id: q1' with 'prompt: …' below it",
            )
        yield Row(place, value)  # pyright: ignore[reportUnknownArgumentType]


def _parquet(path: Path, name: str) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)  # pyright: ignore[reportUnknownMemberType]
    except (pa.ArrowException, ValueError) as error:
        raise DatasetError(f"{name}: not a readable Parquet file: {error}") from None
    names = table.column_names
    for column in names:
        if names.count(column) > 1:
            raise DatasetError(f"{name}: column {column!r} appears twice")
    rows = (row for batch in table.to_batches(max_chunksize=1_000) for row in batch.to_pylist())
    for number, columns in enumerate(rows, 1):
        yield arrow_row(f"{name}:row {number}", columns)


def arrow_row(place: str, columns: dict[str, Any]) -> Row:
    """A row of Arrow data as JSON data; dates and decimals become their usual text."""
    value: dict[str, Any] = {key: _from_arrow(item) for key, item in columns.items()}
    check_plain(value, place)
    messages = value.get("messages")
    if isinstance(messages, list):
        # Arrow gives every struct of a list the same keys. A null key was absent, save `content`,
        # which an assistant message with tool calls has as null.
        value["messages"] = [_without_nulls(message) for message in cast("list[Any]", messages)]
    return Row(place, value)


def _from_arrow(value: Any) -> Any:
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value)
        return {key: _from_arrow(item) for key, item in items.items()}
    if isinstance(value, list):
        elements = cast("list[Any]", value)
        return [_from_arrow(element) for element in elements]
    if value is None or isinstance(value, str | bool | int | float | bytes):
        return value
    return str(value)


def _without_nulls(message: Any) -> Any:
    if not isinstance(message, dict):
        return message
    items = cast("dict[str, Any]", message)
    return {key: item for key, item in items.items() if item is not None or key == "content"}
