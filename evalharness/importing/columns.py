"""What each column of an imported file means, and how its cells are read."""

from __future__ import annotations

from typing import Any

from evalharness.importing import cells
from evalharness.importing.cells import Cell
from evalharness.parameters import PARAMETERS, UNBOUNDED, Parameter, Range
from evalharness.schema import RECORDS

# The file's own ids stay in extra_json: an imported record's ids come from its content.
_COMPUTED = {"trial_id", "setting_id", "extra_json"}

# Closed ranges of number columns; every other number is at least 0.
_RANGES: dict[str, Range] = {
    "score": (0, 1),
    "http_status": (100, 599),
    "response_created": UNBOUNDED,
    **{p.name: p.import_range or p.range for p in PARAMETERS},
}

# Parameters only some providers know; they stand under `extra`, as in a run's own settings.
_EXTRA_PARAMS: dict[str, Cell] = {
    "enable_thinking": cells.boolean,
    "thinking_budget": cells.integer(0, None),
}
_KINDS = {
    **dict.fromkeys(("int", "float", "floats", "money", "integer", "number"), "a number"),
    **dict.fromkeys(("bool", "boolean"), "true or false"),
}
ALIASES = {"cost_usd": "cost_usd_imported"}
PROMPT_READERS: dict[str, Cell] = {
    "target": lambda value: value,
    "target_json": cells.json_document,  # for CSV, whose cells are texts: a list, a number
    "cluster": cells.name,
    "tags": cells.tags,
    "prompt": cells.text,
    "messages": cells.messages,
}
SETTING_COLUMNS = ("provider", "model", "system", "template")


def _cell_of(parameter: Parameter) -> Cell:
    """How a parameter without a record column of its own is read."""
    lowest, highest = _RANGES[parameter.name]
    if parameter.form == "boolean":
        return cells.boolean
    if parameter.form == "text":
        return cells.name
    if parameter.form == "number":
        return cells.number(lowest, highest)
    if parameter.form == "integer":
        return _integer(lowest, highest)
    return cells.json_value


def _integer(lowest: float | None, highest: float | None) -> Cell:
    return cells.integer(
        None if lowest is None else int(lowest), None if highest is None else int(highest)
    )


class ColumnReaders:
    """Readers of the cells of one file.

    Attributes:
        time_reader: reads times.
        record, params: readers of columns of records, and of parameters.
        readers: all of them.
        kinds: ``a number`` or ``true or false`` of each column that holds such.
    """

    def __init__(self) -> None:
        self.time_reader = cells.TimeReader()
        self.record: dict[str, Cell] = {
            column.name: self._record_cell(column.name, column.type)
            for column in RECORDS
            if column.name not in _COMPUTED
        }
        self.params: dict[str, Cell] = {
            **{p.name: self.record.get(p.name) or _cell_of(p) for p in PARAMETERS if p.in_imports},
            **{f"extra.{name}": cell for name, cell in _EXTRA_PARAMS.items()},
        }
        self.readers: dict[str, Cell] = {
            **self.record,
            **PROMPT_READERS,
            **self.params,
            "system": cells.text,
            "template": cells.text,
            "label": cells.text,
        }
        kinds = {
            **{column.name: column.type for column in RECORDS},
            **{p.name: p.form for p in PARAMETERS if p.in_imports},
            **{f"extra.{name}": "number" for name in _EXTRA_PARAMS},
            "extra.enable_thinking": "boolean",
        }
        self.kinds = {name: _KINDS[kind] for name, kind in kinds.items() if kind in _KINDS}

    def _record_cell(self, name: str, kind: str) -> Cell:
        special: dict[str, Cell] = {
            "text": cells.text,
            "status": cells.status,
            "answer": cells.json_text,
            "logprobs_json": cells.json_text,
        }
        if name in special:
            return special[name]
        if name.endswith("_json"):
            return cells.json_text
        lowest, highest = _RANGES.get(name, (0, None))
        by_kind: dict[str, Cell] = {
            "text": cells.name,
            "key": cells.name,
            "int": _integer(lowest, highest),
            "float": cells.number(lowest, highest),
            "floats": cells.numbers,
            "bool": cells.boolean,
            "money": cells.money,
            "time": self.time_reader,
            "bytes": cells.binary,
        }
        return by_kind[kind]

    def canonical(self, name: str) -> str | None:
        """The canonical name of a column; None for a column without a meaning."""
        name = ALIASES.get(name, name)
        if name in _EXTRA_PARAMS:
            name = f"extra.{name}"
        if name.startswith("extra.") and name not in self.readers:
            self.readers[name] = self.params[name] = cells.json_value
        return name if name in self.readers else None

    def advice(self, name: str, value: Any, *, cells_are_text: bool) -> str | None:
        """What to write instead of a text that is not of its column's kind."""
        kind = self.kinds.get(name)
        if kind is None or not isinstance(value, str):
            return None
        if not cells_are_text and cells.is_number_or_flag(value):
            return f"write {value.strip()} without quotes"
        unknown = "leave the cell blank" if cells_are_text else "write null"
        return f"write {kind}; where it is not known, {unknown}"

    def names(self) -> list[str]:
        """List every name a column can be mapped to."""
        return [*self.readers, *ALIASES, *_EXTRA_PARAMS]
