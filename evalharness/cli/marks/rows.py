"""Marks of many records from a file: CSV or JSONL, as ``evalharness export`` writes them."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec import UNSET, UnsetType

from evalharness.errors import ConfigError
from evalharness.scoring.base import is_object
from evalharness.store.folder.annotations import Edit, Mark, TrialKey
from evalharness.store.folder.run import Run

_MARKS = {mark.value: mark for mark in Mark}


def read_mark_rows(run: Run, file: str, reader: str) -> list[Edit]:
    """The marks of a file; a row with neither mark nor note is left out.

    Args:
        run: whose records they are of.
        file: its name; ``.jsonl`` has an object a line, any other is CSV with a heading.
        reader: who says so where a row names no reader.

    Raises:
        ConfigError: the file cannot be read, a row names no record of the run, or has a mark that
            is neither pass nor fail.
    """
    trials = _Trials(run)
    edits: list[Edit] = []
    for where, row in _rows(Path(file)):
        mark = _mark(where, _text(row, "human_mark", "mark"))
        note: str | UnsetType = _text(row, "human_note", "note") or UNSET
        if mark is UNSET and note is UNSET:
            continue
        trial = trials.of(row)
        if trial is None:
            raise ConfigError(
                f"{where}: run `{run.name}` has no such record",
                hint="a row needs trial_id, or prompt_id, setting (id or label) and repeat",
            )
        by = _text(row, "reader") or reader
        if "\n" in by:
            raise ConfigError(
                f"{where}: the mark is of several readers",
                hint="evalharness export RUN --table marks has a row each",
            )
        edits.append(Edit(trial=trial, reader=by, mark=mark, note=note))
    return edits


class _Trials:
    """The records of a run by their keys."""

    def __init__(self, run: Run) -> None:
        rows = run.table("records", [*TrialKey._fields]).to_pylist()
        keys = [TrialKey(**row) for row in rows]
        self._by_id = {key.trial_id: key for key in keys}
        self._by_keys = {(k.prompt_id, k.setting_id, str(k.repeat)): k for k in keys}
        self._settings = {s.label: s.setting_id for s in run.setting_list}

    def of(self, row: dict[str, Any]) -> TrialKey | None:
        """The record that a row is about; None where there is none."""
        trial_id = _text(row, "trial_id")
        if trial_id is not None:
            return self._by_id.get(trial_id)
        setting = _text(row, "setting_id", "setting", "label") or ""
        setting = self._settings.get(setting, setting)
        return self._by_keys.get(
            (_text(row, "prompt_id") or "", setting, _text(row, "repeat") or "0")
        )


def _mark(where: str, text: str | None) -> Mark | UnsetType:
    if text is None:
        return UNSET
    mark = _MARKS.get(text.lower())
    if mark is None:
        raise ConfigError(f"{where}: the mark is `{text[:40]}`", hint="pass or fail")
    return mark


def _text(row: dict[str, Any], *names: str) -> str | None:
    """The first of some columns that holds anything, as a text."""
    for name in names:
        value = row.get(name)
        if value is not None and str(value).strip():
            return str(value).strip()
    return None


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None
    if path.suffix not in (".jsonl", ".ndjson"):
        for number, row in enumerate(csv.DictReader(text.splitlines(keepends=True)), 2):
            yield f"{path.name}, row {number}", dict(row)
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            where = f"{path.name}, line {number}"
            try:
                value: Any = json.loads(line)
            except ValueError as error:
                raise ConfigError(f"{where}: no JSON: {error}") from None
            if not is_object(value):
                raise ConfigError(f"{where}: no JSON object")
            yield where, value
