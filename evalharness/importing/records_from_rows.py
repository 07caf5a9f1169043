"""Rows of an imported file, gathered into prompts, settings and records."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from evalharness.datasets.prompts import prompt_digest
from evalharness.datasets.rows import Row
from evalharness.errors import DatasetError
from evalharness.importing.cells import CellError, shown
from evalharness.importing.columns import PROMPT, SHAPING, Columns
from evalharness.planning.setting_labels import by_axes, label, named
from evalharness.records import Prompt, Setting, Status, canonical_json, digest
from evalharness.schema import RECORDS, arrow_schema, arrow_type
from evalharness.store.parts.to_arrow import prompt_table, setting_table

if TYPE_CHECKING:
    import pyarrow as pa


BATCH = 20_000  # rows that are held as Python objects

# Columns that every imported record has, whatever the file holds.
_MADE = {
    "trial_id",
    "setting_id",
    "repeat",
    "status",
    "extra_json",
    "in_doubt",
    "text_sanitized",
}


# Two ways to write one thing.
_EITHER = (("prompt", "messages"), ("target", "target_json"))


class Header(NamedTuple):
    """``known``: the file's column → its meaning; ``unknown``: columns kept in extra_json."""

    known: dict[str, str]
    unknown: list[str]
    notes: list[str]


class _Fact(NamedTuple):
    """Something a row says about its prompt, and where it says so."""

    value: Any
    place: str


class Gathered:
    """Takes rows one by one; the tables are made at the end.

    Args:
        columns: readers of cells.
        header: what the columns mean.
        cells_are_text: the file is CSV: a blank cell is null, except that a blank ``text`` is an
            empty text.

    """

    def __init__(self, columns: Columns, header: Header, *, cells_are_text: bool) -> None:
        self._columns = columns
        self._known = list(header.known.items())
        self._unknown = header.unknown
        self._csv = cells_are_text
        self._meanings = set(header.known.values())
        self._param_names = [name for name in columns.params if name in self._meanings]
        self._prompt_names = [name for name in PROMPT if name in self._meanings]
        self._prompts: dict[str, dict[str, _Fact]] = {}
        self._sources: dict[str, str] = {}
        self._settings: dict[bytes, Setting] = {}
        self._called: dict[str, set[str | None]] = {}
        self._repeats: Counter[tuple[str, str]] = Counter()
        self._places: dict[tuple[str, str, int], str] = {}
        filled = self._meanings | _MADE
        self._cells: dict[str, list[Any]] = {c.name: [] for c in RECORDS if c.name in filled}
        self._sealed: list[pa.Table] = []
        self._answered = False

    def add(self, row: Row) -> None:
        """Take one row.

        Raises:
            DatasetError: naming the row and the column at fault.

        """
        values = self._read(row)
        prompt_id = values.get("prompt_id")
        if not prompt_id:
            raise DatasetError(f"{row.place}: `prompt_id` is missing")
        self._about_prompt(prompt_id, values, row.place)
        setting = self._setting(values)
        self._called.setdefault(setting.setting_id, set()).add(values.get("label"))
        values["repeat"] = self._repeat(prompt_id, setting.setting_id, values, row.place)
        values["setting_id"] = setting.setting_id
        identity = [prompt_id, setting.setting_id, values["repeat"]]
        values["trial_id"] = digest(b"imported", canonical_json(identity))
        self._answered |= values.get("answer") is not None
        if values.get("status") is None:
            values["status"] = self._default_status(values)
        values["extra_json"] = self._extra(row)
        for flag in ("in_doubt", "text_sanitized"):
            values[flag] = values.get(flag) or False
        for name, cells in self._cells.items():
            cells.append(values.get(name))
        if len(self._cells["trial_id"]) >= BATCH:
            self._seal()

    def _seal(self) -> None:
        """Turn the rows taken so far into Arrow, a fraction of the size of Python's objects."""
        import pyarrow as pa

        rows = len(self._cells["trial_id"])
        arrays: list[pa.Array[Any]] = []
        for column in RECORDS:
            kind = arrow_type(column.type)
            cells = self._cells.get(column.name)
            arrays.append(pa.array([None] * rows if cells is None else cells, kind))
        self._sealed.append(pa.Table.from_arrays(arrays, schema=arrow_schema("records")))
        for cells in self._cells.values():
            cells.clear()

    def _extra(self, row: Row) -> str | None:
        """Keep the cells that have no meaning here, as one JSON object."""
        extra = {name: row.columns.get(name) for name in self._unknown}
        extra = {name: value for name, value in extra.items() if value is not None}
        return canonical_json(extra).decode() if extra else None

    def _read(self, row: Row) -> dict[str, Any]:
        """Read the row's values by meaning."""
        values: dict[str, Any] = {}
        readers = self._columns.readers
        for theirs, ours in self._known:
            raw = row.columns.get(theirs)
            if raw is None or (self._csv and raw == "" and ours != "text"):
                continue
            try:
                values[ours] = readers[ours](raw)
            except CellError as error:
                called = f"`{ours}`" if theirs == ours else f"`{theirs}` (`{ours}`)"
                raise DatasetError(f"{row.place}: {called} {error}") from None
        return values

    def _default_status(self, values: dict[str, Any]) -> str:
        """Say what a row without a status is: null text is an error, unless a tool was called."""
        if "text" not in self._meanings or values.get("tool_calls_json") is not None:
            return Status.OK
        text = values.get("text")
        if text is None:
            return Status.ERROR
        return Status.OK if text else Status.EMPTY

    def _about_prompt(self, prompt_id: str, values: dict[str, Any], place: str) -> None:
        facts = self._prompts.get(prompt_id)
        if facts is None:
            facts = self._prompts[prompt_id] = {}
            self._sources[prompt_id] = place
        for name in self._prompt_names:
            value = values.get(name)
            if value is None:
                continue
            fact = facts.get(name)
            if fact is None:
                facts[name] = _Fact(value, place)
            elif fact.value != value or type(fact.value) is not type(value):
                raise DatasetError(
                    f"{place}: prompt {prompt_id!r} has `{name}` {shown(value)}, but "
                    f"{shown(fact.value)} at {fact.place}",
                    hint="a prompt has one; give different prompts different ids",
                )
        for one, other in _EITHER:
            if one in facts and other in facts:
                raise DatasetError(
                    f"{place}: prompt {prompt_id!r} has both `{one}` and `{other}`",
                    hint="keep the column that says what was meant",
                )

    def _setting(self, values: dict[str, Any]) -> Setting:
        params: dict[str, Any] = {}
        extra: dict[str, Any] = {}
        for name in self._param_names:
            value = values.get(name)
            if value is None:
                continue
            # 0 and 0.0 are one value, as in a run's own settings.
            if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
                value = int(value)
            if name.startswith("extra."):
                extra[name.removeprefix("extra.")] = value
            else:
                params[name] = value
        if extra:
            params["extra"] = extra
        shape = {name: values.get(name) for name in SHAPING}
        key = canonical_json([shape, params])
        setting = self._settings.get(key)
        if setting is None:
            setting = self._settings[key] = Setting(
                setting_id=digest(b"imported", key)[:16],
                label="",
                provider=shape["provider"] or "",
                endpoint="",
                model=shape["model"] or "",
                params=params,
                system=shape["system"],
                template=shape["template"],
            )
        return setting

    def _repeat(self, prompt_id: str, setting_id: str, values: dict[str, Any], place: str) -> int:
        """Take the repeat as given, or number it in file order."""
        if "repeat" not in self._meanings:
            repeat = self._repeats[prompt_id, setting_id]
            self._repeats[prompt_id, setting_id] = repeat + 1
            return repeat
        repeat = values.get("repeat")
        if repeat is None:
            raise DatasetError(
                f"{place}: `repeat` is missing, while other rows have one",
                hint="number every row, or leave the column out to have them numbered in order",
            )
        other = self._places.setdefault((prompt_id, setting_id, repeat), place)
        if other != place:
            raise DatasetError(
                f"{place}: repeat {repeat} of prompt {prompt_id!r} is already at {other}",
                hint="if they were asked under different settings, add the column that differs",
            )
        return repeat

    def records(self) -> pa.Table:
        """Make the records table, in file order."""
        import pyarrow as pa

        self._seal()
        return pa.concat_tables(self._sealed)

    def prompts(self) -> pa.Table:
        """Make the prompts table, in order of first appearance."""
        prompts: list[Prompt] = []
        for prompt_id, facts in self._prompts.items():
            said = {name: fact.value for name, fact in facts.items()}
            messages = said.get("messages")
            if "prompt" in said:
                messages = [{"role": "user", "content": said["prompt"]}]
            prompts.append(
                Prompt(
                    prompt_id=prompt_id,
                    messages=messages,
                    target=said.get("target_json", said.get("target")),
                    tags=said.get("tags", []),
                    cluster=said.get("cluster"),
                    source=self._sources[prompt_id],
                )
            )
        return prompt_table(prompts, [self._digest(prompt) for prompt in prompts])

    @staticmethod
    def _digest(prompt: Prompt) -> str:
        if prompt.messages is not None:
            return prompt_digest(prompt)
        # What was sent is unknown; two prompts must not pass for the same one.
        return digest(b"imported", prompt.prompt_id.encode())

    def settings(self) -> pa.Table:
        """Make the settings table, in the order of its axes, labelled by what varies.

        Labels in the file are kept where they tell its settings apart.
        """
        import pyarrow as pa

        found, names = list(self._settings.values()), self._names()
        labelled = [
            s if s.label else msgspec.structs.replace(s, label=s.provider or "imported")
            for s in (label(found) if names is None else named(found, names))
        ]
        table = setting_table([(setting, True) for setting in by_axes(labelled)])
        for name in ("provider", "endpoint", "model"):
            values = [value or None for value in table.column(name).to_pylist()]
            place = table.column_names.index(name)
            table = table.set_column(place, name, pa.array(values, pa.string()))
        return table.cast(arrow_schema("settings"))

    def _names(self) -> list[str] | None:
        """What the file calls each setting; None where it does not name each differently."""
        given = [self._called[setting.setting_id] for setting in self._settings.values()]
        names = [name for each in given for name in each if name]
        return names if len(given) == len(names) == len(set(names)) else None

    def notes(self) -> list[str]:
        """Say what was taken for granted, to be said aloud."""
        notes: list[str] = []
        naive = self._columns.instants.without_zone
        if naive:
            notes.append(f"{naive} times without a time zone were read as UTC")
        if "label" in self._meanings and self._names() is None:
            notes.append(
                "column `label` does not give every setting one name of its own: labels were made "
                "of what varies"
            )
        if "answer" in self._meanings and not self._answered:
            notes.append("column `answer` is empty in every row: all answers count as unparsed")
        return notes
