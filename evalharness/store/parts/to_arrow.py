"""Converts journal entries, prompts and settings to Arrow tables: which value fills a column."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import astuple

from evalharness.records import AttemptResult, Outcome, Prompt, Setting, Variant, canonical_json
from evalharness.schema import arrow_schema
from evalharness.store.journal.arrow_buffers import build_table, empty_table
from evalharness.store.parts.setting_columns import SettingColumns, sent_columns

if TYPE_CHECKING:
    import pyarrow as pa

# Columns of schema.RECORDS that only an import fills.
_IMPORT_ONLY = {"answer", "score", "cost_usd_imported", "extra_json"}
_BLOCK = 1_024  # rows
# Columns whose name differs from the field that fills them.
_SOURCE_FIELDS = {
    "scheduled_at": "scheduled_at_ns", "sent_at": "sent_at_ns", "admitted_at": "admitted_at_ns",
    "attempts": "attempt", "reasoning_text": "reasoning",
    "batch_submitted_at": "batch_submitted_at_ns", "batch_finished_at": "batch_finished_at_ns",
}  # fmt: skip


def record_table(
    finals: Sequence[AttemptResult], settings: Mapping[str, SettingColumns]
) -> pa.Table:
    """One row a trial. ``settings`` are by setting_id."""
    return _build_in_blocks("records", finals, lambda block: _records(block, settings))


def attempt_table(results: Sequence[AttemptResult]) -> pa.Table:
    """One row an HTTP attempt."""
    return _build_in_blocks("attempts", results, _attempts)


def _build_in_blocks(
    name: str,
    results: Sequence[AttemptResult],
    table: Callable[[Sequence[AttemptResult]], pa.Table],
) -> pa.Table:
    """Build a table block by block.

    Transposing rows into columns is one long call that holds the GIL. With thousands of rows at a
    time it would delay the event loop.
    """
    import pyarrow as pa

    blocks = [table(results[at : at + _BLOCK]) for at in range(0, len(results), _BLOCK)]
    return pa.concat_tables(blocks) if blocks else empty_table(arrow_schema(name))


def _records(finals: Sequence[AttemptResult], settings: Mapping[str, SettingColumns]) -> pa.Table:
    values = _field_columns(finals) | sent_columns(finals, settings)
    values |= dict.fromkeys(_IMPORT_ONLY, [None] * len(finals))
    providers = {setting_id: columns.provider for setting_id, columns in settings.items()}
    values["provider"] = [providers.get(setting) for setting in values["setting_id"]]
    values["request_json"] = [None if body is None else body.decode() for body in values["body"]]
    values["in_doubt"] = [
        before > 0 or outcome is Outcome.IN_DOUBT
        for before, outcome in zip(values["in_doubt_before"], values["outcome"], strict=True)
    ]
    return _table("records", values)


def _attempts(results: Sequence[AttemptResult]) -> pa.Table:
    values = _field_columns(results)
    # The final response is in the record; those of other attempts are only here.
    values["response_json"] = [
        None if final else response
        for final, response in zip(values["final"], values["response_json"], strict=True)
    ]
    return _table("attempts", values)


def _field_columns(results: Sequence[AttemptResult]) -> dict[str, Sequence[Any]]:
    """Every field of results, intents, replies and usages (whose names differ) as a column."""
    replies = [r.reply for r in results]
    values = _transpose(results) | _transpose([r.intent for r in results]) | _transpose(replies)
    values |= _transpose([reply.usage for reply in replies])
    if any(values["batch_file"]):  # how long it waited there, and beside what, nobody knows
        for name in ("queue_s", "in_flight"):
            known = zip(values[name], values["batch_file"], strict=True)
            values[name] = [None if file is not None else value for value, file in known]
    values["headers_json"] = [
        canonical_json(headers).decode() if headers else None for headers in values["headers"]
    ]
    return values


def _transpose(rows: Sequence[msgspec.Struct]) -> dict[str, Sequence[Any]]:
    """Transpose values of one type: a column for each field."""
    return dict(zip(rows[0].__struct_fields__, zip(*map(astuple, rows), strict=True), strict=True))


def _table(name: str, values: dict[str, Sequence[Any]]) -> pa.Table:
    import pyarrow as pa

    schema = arrow_schema(name)
    columns: dict[str, Any] = {
        column: values[_SOURCE_FIELDS.get(column, column)] for column in schema.names
    }
    return pa.Table.from_pydict(columns, schema=schema)


def prompt_table(prompts: Sequence[Prompt], digests: Sequence[str]) -> pa.Table:
    """The prompts of a plan; ``digests`` name what shapes each one's requests."""
    columns: dict[str, list[Any]] = {
        "prompt_id": [p.prompt_id for p in prompts],
        "content_hash": list(digests),
        "messages_json": [_json(p.messages) for p in prompts],
        "target_json": [_json(p.target) for p in prompts],
        "tags": [p.tags for p in prompts],
        "cluster": [p.cluster for p in prompts],
        "params_json": [_json(p.params or None) for p in prompts],
        "fields_json": [_json(p.fields or None) for p in prompts],
        "source": [p.source for p in prompts],
        "scoring_json": [_json(p.scoring or None) for p in prompts],
        "conversation": [p.conversation for p in prompts],
        "turn": [p.turn for p in prompts],
        "in_current_plan": [True] * len(prompts),
    }
    return build_table(columns, arrow_schema("prompts"))


def setting_table(settings: Sequence[tuple[Setting, bool]]) -> pa.Table:
    """Settings with their ``in_current_plan`` flag (part of the newest plan)."""
    columns: dict[str, list[Any]] = {
        "setting_id": [s.setting_id for s, _ in settings],
        "label": [s.label for s, _ in settings],
        "provider": [s.provider for s, _ in settings],
        "endpoint": [s.endpoint for s, _ in settings],
        "model": [s.model for s, _ in settings],
        "params_json": [canonical_json(s.params).decode() for s, _ in settings],
        "system": [s.system for s, _ in settings],
        "template": [s.template for s, _ in settings],
        "axes_json": [canonical_json(s.axes).decode() for s, _ in settings],
        "variants_json": [_json(msgspec.to_builtins(s.variants) or None) for s, _ in settings],
        "load_json": [_json(s.load or None) for s, _ in settings],
        "in_current_plan": [in_plan for _, in_plan in settings],
    }
    return build_table(columns, arrow_schema("settings"))


def settings_from_table(table: pa.Table) -> list[tuple[Setting, bool]]:
    """Settings with their ``in_current_plan`` flag; the inverse of :func:`setting_table`."""
    return [
        (
            Setting(
                setting_id=row["setting_id"],
                label=row["label"],
                provider=row["provider"] or "",
                endpoint=row["endpoint"] or "",
                model=row["model"] or "",
                params=msgspec.json.decode(row["params_json"]),
                system=row["system"],
                template=row["template"],
                axes=msgspec.json.decode(row["axes_json"]),
                variants=msgspec.json.decode(
                    row.get("variants_json") or "{}", type=dict[str, Variant]
                ),
                load=msgspec.json.decode(row.get("load_json") or "{}"),
            ),
            bool(row["in_current_plan"]),
        )
        for row in table.to_pylist()
    ]


def _json(value: Any) -> str | None:
    return None if value is None else canonical_json(value).decode()
