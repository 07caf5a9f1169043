"""Recorded traces: when requests came, how long they were, and which blocks prompts share.

Two formats are read. Mooncake's (Qin et al., *Mooncake*, FAST 2025): one JSON object a line, with
``timestamp`` in milliseconds, ``input_length``, ``output_length`` and ``hash_ids``, one for each
512 prompt tokens. Azure's LLM inference traces of 2023 and 2024: CSV with ``TIMESTAMP``,
``ContextTokens`` and ``GeneratedTokens``.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, TextIO, cast

from evalharness.config.workload import TraceConfig
from evalharness.datasets.strict_json import json_type_name, parse_json_line
from evalharness.datasets.workload.lengths import LONGEST
from evalharness.errors import DatasetError

_KEY = "dataset.workload.trace"
_NS = 1_000_000_000
_SUFFIXES = {".jsonl": "mooncake", ".csv": "azure"}
_FIELDS = ("timestamp", "input_length", "output_length", "hash_ids")
# Fields of other tools' traces of several turns or of texts; without them it would be another load.
_OTHER_LOADS = ("session_id", "delay", "text_input")
_AZURE = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
_INSTANT = re.compile(
    r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?\s?(Z|[+-]\d\d:?\d\d)?"
)


class TraceRequest(NamedTuple):
    """One request of a trace.

    ``line`` is its line in the file, ``at_ns`` its time on any clock, in nanoseconds; ``blocks``
    are the ids of the prompt's blocks, None where the trace has none.
    """

    line: int
    at_ns: int
    prompt_tokens: int
    output_tokens: int
    blocks: tuple[int, ...] | None = None


def read_trace(config: TraceConfig, root: Path) -> Iterator[TraceRequest]:
    """The requests of a trace, one after the other.

    Args:
        config: of the trace.
        root: folder that a relative path starts from; the shipped datasets come after it.

    Raises:
        DatasetError: naming the file and the line, and what to do.
    """
    name = config.path
    path = _find(root, name)
    reader = _readers()[_format(config)]
    last: TraceRequest | None = None
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for request in reader(file, config):
                if last is not None and request.at_ns < last.at_ns:
                    back = (last.at_ns - request.at_ns) / _NS
                    raise DatasetError(
                        f"{name}:{request.line}: its time is {back:g} s before that of line "
                        f"{last.line}",
                        hint="sort the trace by time",
                    )
                last = request
                yield request
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{name}: no UTF-8 text (byte 0x{error.object[error.start]:02x})",
            hint="a trace is a text file; unpack it first where it is compressed",
        ) from None
    except OSError as error:
        raise DatasetError(f"cannot read {name}: {error.strerror or error}") from None
    if last is None:
        raise DatasetError(
            f"{name}: the trace has no requests", hint=f"check {_KEY}.path; {_FORMS}"
        )


_FORMS = (
    'a line is {"timestamp": 27482, "input_length": 6955, "output_length": 52, "hash_ids": [46, …]}'
    " (mooncake), or a CSV file with the columns TIMESTAMP, ContextTokens and GeneratedTokens "
    "(azure)"
)


def _find(root: Path, name: str) -> Path:
    from evalharness.config.package_data import package_data_dir

    given = Path(name).expanduser()
    folder = package_data_dir("datasets")
    for candidate in (root / given, folder / given, folder.parent / given):
        if candidate.is_file():
            return candidate
    raise DatasetError(
        f"{_KEY}.path: there is no file {name}",
        hint="a trace of Mooncake or Azure, as they are published; a small one is shipped: "
        f"{_KEY}.path=traces/example.jsonl",
    )


def _format(config: TraceConfig) -> str:
    if config.format != "auto":
        return config.format
    suffix = Path(config.path).suffix.lower()
    if suffix not in _SUFFIXES:
        raise DatasetError(
            f"{config.path}: cannot tell the format of the trace from {suffix or 'no suffix'}",
            hint=f"{_KEY}.format=mooncake, or azure: {_FORMS}",
        )
    return _SUFFIXES[suffix]


def _readers() -> dict[str, Callable[[TextIO, TraceConfig], Iterator[TraceRequest]]]:
    return {"mooncake": _mooncake, "azure": _azure}


def _mooncake(file: TextIO, config: TraceConfig) -> Iterator[TraceRequest]:
    empty: int | None = None
    for number, line in enumerate(file, 1):
        if not line.strip():
            empty = empty or number
            continue
        _check_no_hole(config.path, empty)
        where = f"{config.path}:{number}"
        value = parse_json_line(line.strip(), where)
        if not isinstance(value, dict):
            raise DatasetError(
                f"{where}: a request must be an object, got {json_type_name(value)}", hint=_FORMS
            )
        yield _request(cast("dict[str, Any]", value), number, where, config.block_tokens)


def _request(row: dict[str, Any], line: int, where: str, block_tokens: int) -> TraceRequest:
    for field in _OTHER_LOADS:
        if row.get(field) is not None:
            raise DatasetError(
                f"{where}: `{field}` is of conversations or texts, which are not replayed from a "
                "trace",
                hint="a dataset with turns holds conversations (docs/load-conversations.md)",
            )
    for field in _FIELDS[:3]:
        if row.get(field) is None:
            raise DatasetError(f"{where}: the request has no `{field}`", hint=_FORMS)
    at, prompt = row["timestamp"], _length(row["input_length"], "input_length", where)
    if isinstance(at, bool) or not isinstance(at, int | float) or at < 0 or not math.isfinite(at):
        raise DatasetError(f"{where}: `timestamp` must be milliseconds, 0 or more, got {at!r:.40}")
    return TraceRequest(
        line,
        at * 1_000_000 if isinstance(at, int) else round(at * 1e6),
        prompt,
        _length(row["output_length"], "output_length", where),
        _blocks(row.get("hash_ids"), prompt, block_tokens, where),
    )


def _blocks(ids: Any, prompt: int, block_tokens: int, where: str) -> tuple[int, ...] | None:
    if ids is None:
        return None
    if not isinstance(ids, list) or not all(type(i) is int for i in cast("list[Any]", ids)):
        raise DatasetError(f"{where}: `hash_ids` must be a list of whole numbers, got {ids!r:.40}")
    blocks = tuple(cast("list[int]", ids))
    needed = -(-prompt // block_tokens)
    if len(blocks) != needed:
        raise DatasetError(
            f"{where}: {len(blocks)} hash_ids, and {prompt} prompt tokens are {needed} blocks of "
            f"{block_tokens}",
            hint=f"{_KEY}.block_tokens=N where a hash id stands for another number of tokens",
        )
    return blocks


def _azure(file: TextIO, config: TraceConfig) -> Iterator[TraceRequest]:
    reader = csv.reader(file, strict=True)
    columns: list[int] | None = None
    width, empty = 0, None
    try:
        for cells in reader:
            number = reader.line_num
            where = f"{config.path}:{number}"
            if not cells:
                empty = empty or number
                continue
            _check_no_hole(config.path, empty)
            if columns is None:
                columns, width = _columns(cells, where), len(cells)
                continue
            if len(cells) != width:
                raise DatasetError(f"{where}: {len(cells)} cells, and the header has {width}")
            at, prompt, output = (cells[column].strip() for column in columns)
            yield TraceRequest(
                number,
                _instant_ns(at, where),
                _length(_whole(prompt), _AZURE[1], where),
                _length(_whole(output), _AZURE[2], where),
            )
    except csv.Error as error:
        raise DatasetError(f"{config.path}:{reader.line_num}: malformed CSV: {error}") from None


def _columns(header: list[str], where: str) -> list[int]:
    names = [cell.strip() for cell in header]
    missing = [column for column in _AZURE if column not in names]
    if missing:
        raise DatasetError(
            f"{where}: the trace has no column {', '.join(missing)}; it has {', '.join(names)}",
            hint=_FORMS,
        )
    return [names.index(column) for column in _AZURE]


def _whole(text: str) -> int | str:
    """The number that a cell holds; the text where it is none."""
    return int(text) if re.fullmatch(r"-?[0-9]{1,18}", text) else text


def _length(value: Any, field: str, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LONGEST:
        raise DatasetError(
            f"{where}: `{field}` must be a whole number of tokens, 1 or more, got {value!r:.40}"
        )
    return value


def _instant_ns(text: str, where: str) -> int:
    """A date and a time as nanoseconds since 1970; without an offset it is taken as UTC."""
    match = _INSTANT.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        offset = "+00:00" if match[4] in (None, "Z") else match[4]
        moment = datetime.fromisoformat(f"{match[1]}T{match[2]}{offset}").astimezone(UTC)
    except ValueError:
        raise DatasetError(
            f"{where}: `TIMESTAMP` must be a date and a time, got {text!r:.40}",
            hint="2023-11-16 18:17:03.9799600",
        ) from None
    return round(moment.timestamp()) * _NS + int((match[3] or "0").ljust(9, "0"))


def _check_no_hole(name: str, empty: int | None) -> None:
    """Refuse an empty line between requests: something was lost there."""
    if empty is not None:
        raise DatasetError(
            f"{name}:{empty}: an empty line, and requests behind it",
            hint="is the file whole? Without the line they follow one another",
        )
