"""The conditions of a filter in SQL, and what a filter may name in a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from evalharness.view.queries.part_queries import SqlPart
from evalharness.view.queries.record_columns import ColumnSet, find_column
from evalharness.view.queries.record_filter import BadParameterError, RecordFilter


class Choices(NamedTuple):
    """What can be chosen among in the records of a run; settings have an id and a label."""

    settings: list[tuple[str, str]]
    tags: list[str]
    finish_reasons: list[str]


def check_choices(shown: RecordFilter, choices: Choices) -> None:
    """Refuse what the run does not have: a mistyped filter would look like no hits.

    Raises:
        BadParameterError: it names the parameter.
    """
    for name, wanted, known in (
        ("setting", shown.settings, {key: f"{key} ({label})" for key, label in choices.settings}),
        ("tag", shown.tags, {tag: tag for tag in choices.tags}),
        ("finish", shown.finish_reasons, {reason: reason for reason in choices.finish_reasons}),
    ):
        for value in wanted:
            if value not in known:
                raise BadParameterError(name, value, known.values() or "the run has none")


def conditions(
    shown: RecordFilter, columns: ColumnSet, prompts: str, regressions: Path | None
) -> SqlPart:
    """The condition of a filter without its words: of ``r``, the records, and ``m``, the marks.

    Args:
        shown: the filter.
        columns: those that the run has.
        prompts: the table of prompts.
        regressions: the file with what regressed.

    Raises:
        ConfigError: the filter is about scores or answers that the run does not have.
    """
    parts = _Conditions()
    parts.add_any("r.setting_id", shown.settings)
    parts.add_any("r.status", shown.statuses)
    parts.add_any("r.finish_reason", shown.finish_reasons)
    if shown.prompt:
        parts.add("r.prompt_id = ?", shown.prompt)
    for tag in shown.tags:
        parts.add(f"r.prompt_no IN (SELECT no FROM {prompts} WHERE list_contains(tags, ?))", tag)
    parts.add_range("r.latency_s", shown.min_latency, shown.max_latency)
    if shown.min_score is not None or shown.max_score is not None:
        name = "max_score" if shown.min_score is None else "min_score"
        score = find_column(name, "score", columns.all(shown.scorer))
        parts.add_range(score.sql, shown.min_score, shown.max_score)
    if shown.unstable:
        variants = find_column("unstable", f"{shown.unstable}_variants", columns.all())
        parts.add(f"{variants.sql} > 1")
    if shown.mark in ("none", "any"):
        parts.add(f"m.mark IS {'' if shown.mark == 'none' else 'NOT '}NULL")
    elif shown.mark:
        parts.add("m.mark = ?", shown.mark)
    if shown.regressed:
        every = " WHERE every" if shown.every else ""
        regressed = f"SELECT prompt_id, setting_id FROM read_parquet(?){every}"
        parts.add(f"(r.prompt_id, r.setting_id) IN ({regressed})", str(regressions))
    return parts.joined()


class _Conditions:
    def __init__(self) -> None:
        self._sql = ["true"]
        self._values: list[Any] = []

    def add(self, condition: str, *values: Any) -> None:
        self._sql.append(condition)
        self._values.extend(values)

    def add_any(self, column: str, values: tuple[str, ...]) -> None:
        if values:
            self.add(f"{column} IN (SELECT unnest(?))", [*values])

    def add_range(self, column: str, low: float | None, high: float | None) -> None:
        if low is not None:
            self.add(f"{column} >= ?", low)
        if high is not None:
            self.add(f"{column} <= ?", high)

    def joined(self) -> SqlPart:
        return SqlPart(" AND ".join(self._sql), self._values)
