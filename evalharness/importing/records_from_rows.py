"""Rows of an imported file to the tables of prompts, settings and records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from evalharness.config.parameter_values import plain_number
from evalharness.datasets.prompts import prompt_digest
from evalharness.datasets.rows import Row
from evalharness.errors import DatasetError
from evalharness.importing.cells import CellError, quote_value, refuse_text
from evalharness.importing.columns import PROMPT_READERS, SETTING_COLUMNS, ColumnReaders
from evalharness.planning.setting_labels import apply_labels, label_settings, sort_by_axes
from evalharness.records import Prompt, Setting, Status, canonical_json, digest
from evalharness.schema import RECORDS, arrow_schema, arrow_type
from evalharness.store.parts.to_arrow import prompt_table, setting_table

if TYPE_CHECKING:
    import pyarrow as pa


BATCH_ROWS = 20_000  # rows that are kept as Python objects

# Columns that every imported record has a value in, whatever the file holds.
_ALWAYS_PRESENT = {
    "trial_id",
    "setting_id",
    "repeat",
    "status",
    "extra_json",
    "in_doubt",
    "text_sanitized",
}


# Two columns with the same meaning; a prompt can have one of them.
_EXCLUSIVE_PAIRS = (("prompt", "messages"), ("target", "target_json"))


class Header(NamedTuple):
    """``known``: the file's column → its meaning; ``unknown``: columns kept in extra_json."""

    known: dict[str, str]
    unknown: list[str]
    notes: list[str]


class _PromptFact(NamedTuple):
    """A value that a row gives for its prompt, and the location of the row."""

    value: Any
    location: str


class ImportBuilder:
    """Builds the tables of an import from rows, one by one.

    Args:
        columns: readers of cells.
        header: what the columns mean.
        cells_are_text: the file is CSV: a blank cell is null, except that a blank ``text`` is an
            empty text, and numbers are texts. Elsewhere a text is no number.
        decimals: columns of the file whose numbers come as texts nevertheless.

    """

    def __init__(
        self,
        columns: ColumnReaders,
        header: Header,
        *,
        cells_are_text: bool,
        decimals: Collection[str] = (),
    ) -> None:
        self._columns = columns
        self._known = list(header.known.items())
        self._unknown = header.unknown
        self._cells_are_text = cells_are_text
        self._typed = {
            theirs: columns.kinds[ours]
            for theirs, ours in self._known
            if ours in columns.kinds and not cells_are_text and theirs not in decimals
        }
        self._known_columns = set(header.known.values())
        self._param_names = [name for name in columns.params if name in self._known_columns]
        self._prompt_names = [name for name in PROMPT_READERS if name in self._known_columns]
        self._prompts: dict[str, dict[str, _PromptFact]] = {}
        self._sources: dict[str, str] = {}
        self._settings: dict[bytes, Setting] = {}
        self._labels_by_setting: dict[str, set[str | None]] = {}
        self._repeat_counts: Counter[tuple[str, str]] = Counter()
        self._locations: dict[tuple[str, str, int], str] = {}
        filled = self._known_columns | _ALWAYS_PRESENT
        self._column_values: dict[str, list[Any]] = {
            c.name: [] for c in RECORDS if c.name in filled
        }
        self._tables: list[pa.Table] = []
        self._has_answers = False

    def add(self, row: Row) -> None:
        """Take one row.

        Raises:
            DatasetError: naming the row and the column at fault.

        """
        values = self._read(row)
        prompt_id = values.get("prompt_id")
        if not prompt_id:
            raise DatasetError(f"{row.location}: `prompt_id` is missing")
        self._add_prompt_facts(prompt_id, values, row.location)
        setting = self._setting(values)
        self._labels_by_setting.setdefault(setting.setting_id, set()).add(values.get("label"))
        values["repeat"] = self._repeat(prompt_id, setting.setting_id, values, row.location)
        values["setting_id"] = setting.setting_id
        identity = [prompt_id, setting.setting_id, values["repeat"]]
        values["trial_id"] = digest(b"imported", canonical_json(identity))
        self._has_answers |= values.get("answer") is not None
        if values.get("status") is None:
            values["status"] = self._default_status(values)
        values["extra_json"] = self._extra(row)
        for flag in ("in_doubt", "text_sanitized"):
            values[flag] = values.get(flag) or False
        for name, cells in self._column_values.items():
            cells.append(values.get(name))
        if len(self._column_values["trial_id"]) >= BATCH_ROWS:
            self._flush()

    def _flush(self) -> None:
        """Turn the rows taken so far into Arrow, a fraction of the size of Python's objects."""
        import pyarrow as pa

        rows = len(self._column_values["trial_id"])
        arrays: list[pa.Array[Any]] = []
        for column in RECORDS:
            kind = arrow_type(column.type)
            cells = self._column_values.get(column.name)
            arrays.append(pa.array([None] * rows if cells is None else cells, kind))
        self._tables.append(pa.Table.from_arrays(arrays, schema=arrow_schema("records")))
        for cells in self._column_values.values():
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
            if raw is None or (self._cells_are_text and raw == "" and ours != "text"):
                continue
            try:
                if theirs in self._typed:
                    refuse_text(raw, self._typed[theirs])
                values[ours] = readers[ours](raw)
            except CellError as error:
                column = f"`{ours}`" if theirs == ours else f"`{theirs}` (`{ours}`)"
                raise DatasetError(
                    f"{row.location}: {column} {error}",
                    hint=self._columns.advice(ours, raw, cells_are_text=self._cells_are_text),
                ) from None
        return values

    def _default_status(self, values: dict[str, Any]) -> str:
        """The status of a row without one: null text is an error, unless a tool was called."""
        if "text" not in self._known_columns or values.get("tool_calls_json") is not None:
            return Status.OK
        text = values.get("text")
        if text is None:
            return Status.ERROR
        return Status.OK if text else Status.EMPTY

    def _add_prompt_facts(self, prompt_id: str, values: dict[str, Any], location: str) -> None:
        facts = self._prompts.get(prompt_id)
        if facts is None:
            facts = self._prompts[prompt_id] = {}
            self._sources[prompt_id] = location
        for name in self._prompt_names:
            value = values.get(name)
            if value is None:
                continue
            fact = facts.get(name)
            if fact is None:
                facts[name] = _PromptFact(value, location)
            elif fact.value != value or type(fact.value) is not type(value):
                raise DatasetError(
                    f"{location}: prompt {prompt_id!r} has `{name}` {quote_value(value)}, but "
                    f"{quote_value(fact.value)} at {fact.location}",
                    hint="a prompt has one; give different prompts different ids",
                )
        for name_a, name_b in _EXCLUSIVE_PAIRS:
            if name_a in facts and name_b in facts:
                raise DatasetError(
                    f"{location}: prompt {prompt_id!r} has both `{name_a}` and `{name_b}`",
                    hint="keep the column that says what was meant",
                )

    def _setting(self, values: dict[str, Any]) -> Setting:
        params: dict[str, Any] = {}
        extra: dict[str, Any] = {}
        for name in self._param_names:
            value = values.get(name)
            if value is None:
                continue
            value = plain_number(value)  # as in a run's own settings
            if name.startswith("extra."):
                extra[name.removeprefix("extra.")] = value
            else:
                params[name] = value
        if extra:
            params["extra"] = extra
        shape = {name: values.get(name) for name in SETTING_COLUMNS}
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

    def _repeat(
        self, prompt_id: str, setting_id: str, values: dict[str, Any], location: str
    ) -> int:
        """Take the repeat as given, or number it in file order."""
        if "repeat" not in self._known_columns:
            repeat = self._repeat_counts[prompt_id, setting_id]
            self._repeat_counts[prompt_id, setting_id] = repeat + 1
            return repeat
        repeat = values.get("repeat")
        if repeat is None:
            raise DatasetError(
                f"{location}: `repeat` is missing, while other rows have one",
                hint="number every row, or leave the column out to have them numbered in order",
            )
        earlier = self._locations.setdefault((prompt_id, setting_id, repeat), location)
        if earlier != location:
            raise DatasetError(
                f"{location}: repeat {repeat} of prompt {prompt_id!r} is already at {earlier}",
                hint="if they were asked under different settings, add the column that differs",
            )
        return repeat

    def records(self) -> pa.Table:
        """Make the records table, in file order."""
        import pyarrow as pa

        self._flush()
        return pa.concat_tables(self._tables)

    def prompts(self) -> pa.Table:
        """Make the prompts table, in order of first appearance."""
        prompts: list[Prompt] = []
        for prompt_id, facts in self._prompts.items():
            values = {name: fact.value for name, fact in facts.items()}
            messages = values.get("messages")
            if "prompt" in values:
                messages = [{"role": "user", "content": values["prompt"]}]
            prompts.append(
                Prompt(
                    prompt_id=prompt_id,
                    messages=messages,
                    target=values.get("target_json", values.get("target")),
                    tags=values.get("tags", []),
                    cluster=values.get("cluster"),
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

        Labels in the file are kept where every setting has one of its own.
        """
        import pyarrow as pa

        settings, labels = list(self._settings.values()), self._unique_labels()
        labelled = [
            s if s.label else msgspec.structs.replace(s, label=s.provider or "imported")
            for s in (
                label_settings(settings) if labels is None else apply_labels(settings, labels)
            )
        ]
        table = setting_table([(setting, True) for setting in sort_by_axes(labelled)])
        for name in ("provider", "endpoint", "model"):
            values = [value or None for value in table.column(name).to_pylist()]
            position = table.column_names.index(name)
            table = table.set_column(position, name, pa.array(values, pa.string()))
        return table.cast(arrow_schema("settings"))

    def _unique_labels(self) -> list[str] | None:
        """The label of each setting in the file; None unless each has one of its own."""
        by_setting = [self._labels_by_setting[s.setting_id] for s in self._settings.values()]
        labels = [label for labels in by_setting for label in labels if label]
        return labels if len(by_setting) == len(labels) == len(set(labels)) else None

    def notes(self) -> list[str]:
        """The assumptions that were made, for the user to know."""
        notes: list[str] = []
        naive = self._columns.time_reader.without_zone
        if naive:
            notes.append(f"{naive} times without a time zone were read as UTC")
        if "label" in self._known_columns and self._unique_labels() is None:
            notes.append(
                "column `label` does not give every setting one name of its own: labels were made "
                "of what varies"
            )
        if "answer" in self._known_columns and not self._has_answers:
            notes.append("column `answer` is empty in every row: all answers count as unparsed")
        return notes
