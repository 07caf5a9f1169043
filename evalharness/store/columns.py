"""From journal entries to Arrow tables: the one place that knows which value fills a column."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from evalharness.records import AttemptResult, Outcome, Prompt, Setting, canonical_json
from evalharness.schema import ATTEMPTS, RECORDS, arrow_schema

if TYPE_CHECKING:
    import pyarrow as pa

# Columns of schema.RECORDS that an import fills and a run never does.
_IMPORT_ONLY = {"answer", "score", "cost_usd_imported", "extra_json"}
_INTENT = {
    "trial_id", "prompt_id", "setting_id", "repeat", "position", "attempt", "client_request_id",
    "in_flight", "reserved_usd",
}  # fmt: skip
_ASKED = {
    "model", "temperature", "top_p", "seed", "max_tokens", "frequency_penalty",
    "presence_penalty", "n", "stream",
}  # fmt: skip
_USAGE = {
    "prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "reasoning_tokens",
    "audio_prompt_tokens", "audio_completion_tokens", "accepted_prediction_tokens",
    "rejected_prediction_tokens",
}  # fmt: skip


class AskedParams(msgspec.Struct):
    """The parameters that have a column of their own, read back from the body that was sent."""

    model: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    max_tokens: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    n: int | None = None
    stream: bool | None = None


_asked = msgspec.json.Decoder(AskedParams)
_no_params = AskedParams()


def record_table(finals: Sequence[AttemptResult], providers: dict[str, str]) -> pa.Table:
    """One row a trial. ``providers`` maps setting_id to the provider's name."""
    import pyarrow as pa

    asked = [_no_params if r.body is None else _asked.decode(r.body) for r in finals]
    columns: dict[str, list[Any]] = {}
    for column in RECORDS:
        name = column.name
        if name in _ASKED:
            columns[name] = [getattr(a, name) for a in asked]
        elif name == "provider":
            columns[name] = [providers.get(r.intent.setting_id) for r in finals]
        else:
            columns[name] = _values(name, finals, _RECORD_GETTERS)
    return pa.Table.from_pydict(columns, schema=arrow_schema("records"))


def attempt_table(results: Sequence[AttemptResult]) -> pa.Table:
    """One row an HTTP attempt."""
    import pyarrow as pa

    columns = {c.name: _values(c.name, results, _ATTEMPT_GETTERS) for c in ATTEMPTS}
    return pa.Table.from_pydict(columns, schema=arrow_schema("attempts"))


def _values(
    name: str,
    results: Sequence[AttemptResult],
    getters: dict[str, Callable[[AttemptResult], Any]],
) -> list[Any]:
    getter = getters.get(name)
    if getter is not None:
        return [getter(r) for r in results]
    if name in _IMPORT_ONLY:
        return [None] * len(results)
    if name in _INTENT:
        return [getattr(r.intent, name) for r in results]
    if name in _USAGE:
        return [getattr(r.reply.usage, name) for r in results]
    return [getattr(r.reply, name) for r in results]


def _headers(result: AttemptResult) -> str | None:
    headers = result.reply.headers
    return canonical_json(headers).decode() if headers else None


def _was_in_doubt(result: AttemptResult) -> bool:
    return result.in_doubt_before > 0 or result.reply.outcome is Outcome.IN_DOUBT


_COMMON: dict[str, Callable[[AttemptResult], Any]] = {
    "scheduled_at": lambda r: r.scheduled_at_ns,
    "sent_at": lambda r: r.reply.sent_at_ns,
    "queue_s": lambda r: r.queue_s,
    "headers_json": _headers,
}
_RECORD_GETTERS: dict[str, Callable[[AttemptResult], Any]] = {
    **_COMMON,
    "request_json": lambda r: None if r.body is None else r.body.decode(),
    "logprobs": lambda r: r.reply.logprobs_json,
    "attempts": lambda r: r.intent.attempt,
    "in_doubt": _was_in_doubt,
}
_ATTEMPT_GETTERS: dict[str, Callable[[AttemptResult], Any]] = {
    **_COMMON,
    "admitted_at": lambda r: r.intent.admitted_at_ns,
    "final": lambda r: r.final,
    "outcome": lambda r: r.reply.outcome,
    "wait_s": lambda r: r.wait_s,
    "response_json": lambda r: None if r.final else r.reply.response_json,
}


def prompt_table(prompts: Sequence[Prompt], digests: Sequence[str]) -> pa.Table:
    """The prompts of a plan; ``digests`` name what shapes each one's requests."""
    import pyarrow as pa

    columns: dict[str, list[Any]] = {
        "prompt_id": [p.prompt_id for p in prompts],
        "digest": list(digests),
        "messages_json": [_json(p.messages) for p in prompts],
        "target_json": [_json(p.target) for p in prompts],
        "tags": [p.tags for p in prompts],
        "cluster": [p.cluster for p in prompts],
        "params_json": [_json(p.params or None) for p in prompts],
        "fields_json": [_json(p.fields or None) for p in prompts],
        "source": [p.source for p in prompts],
        "active": [True] * len(prompts),
    }
    return pa.Table.from_pydict(columns, schema=arrow_schema("prompts"))


def setting_table(settings: Sequence[tuple[Setting, bool]]) -> pa.Table:
    """Settings with their ``active`` flag (part of the newest plan)."""
    import pyarrow as pa

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
        "active": [active for _, active in settings],
    }
    return pa.Table.from_pydict(columns, schema=arrow_schema("settings"))


def settings_from(table: pa.Table) -> list[tuple[Setting, bool]]:
    """Read settings back, the inverse of :func:`setting_table`."""
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
            ),
            bool(row["active"]),
        )
        for row in table.to_pylist()
    ]


def _json(value: Any) -> str | None:
    return None if value is None else canonical_json(value).decode()
