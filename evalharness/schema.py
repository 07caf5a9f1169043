"""The Parquet tables: every column with its type, unit and the meaning of null.

``docs/schema.md`` is generated from here (``python -m evalharness.schema > docs/schema.md``). Types
are fixed: a column of only nulls keeps its type. pyarrow is imported on use, so that importing this
module stays cheap.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from evalharness.parameters import COLUMN_PARAMS
from evalharness.records import SCHEMA_VERSION

if TYPE_CHECKING:
    import pyarrow as pa


class Column(NamedTuple):
    """One column: ``type`` is a name from :data:`TYPES`; ``null`` says what null means.

    An empty ``null`` means the column is never null.
    """

    name: str
    type: str
    doc: str
    null: str = ""


_PARAMETER_TYPES = {"number": "float", "integer": "int", "boolean": "bool", "text": "key"}


def _parameter_columns() -> list[Column]:
    """A column for each parameter that has one."""
    return [Column(p.name, _PARAMETER_TYPES[p.form], p.doc, "not sent") for p in COLUMN_PARAMS]


RECORDS: tuple[Column, ...] = (
    # identity
    Column("trial_id", "text", "hash of endpoint, request, prompt and repeat; one row each"),
    Column("prompt_id", "key", "row of prompts.parquet"),
    Column("setting_id", "key", "row of settings.parquet"),
    Column("repeat", "int", "0..K-1: which repeat of the same prompt under the same setting"),
    Column("position", "int", "place in the shuffled order of the plan", "imported"),
    # asked
    Column("provider", "key", "name of the provider configuration", "imported without one"),
    Column("model", "key", "model name as sent", "imported without one"),
    *_parameter_columns(),
    Column("request_json", "text", "the request body exactly as sent", "imported, or not sent"),
    # got
    Column("status", "key", "ok, empty, truncated, refused or error"),
    Column("text", "text", "content of choice 0", "no content was delivered"),
    Column("reasoning", "text", "the same as reasoning_text, by its older name", "none delivered"),
    Column("reasoning_text", "text", "reasoning of choice 0, wherever it stood", "none, or old"),
    Column("finish_reason", "key", "as delivered", "not delivered"),
    Column("refusal", "text", "the refusal field of choice 0", "no refusal"),
    Column("tool_calls_json", "text", "tool calls of choice 0, merged when streamed", "none"),
    Column("annotations_json", "text", "annotations of choice 0", "none"),
    Column("audio_json", "text", "audio id, transcript and expiry of choice 0", "none"),
    Column("logprobs_json", "text", "logprobs of choice 0 as JSON", "not delivered"),
    Column("choices_json", "text", "all choices as JSON", "only one choice was delivered"),
    Column("response_model", "key", "model name in the response", "not delivered"),
    Column("system_fingerprint", "key", "as delivered", "not delivered"),
    Column("service_tier", "key", "as delivered", "not delivered"),
    Column("response_id", "text", "id of the completion", "not delivered"),
    Column("response_created", "int", "Unix seconds the server stated", "not delivered"),
    Column("inference_id", "text", "x-inference-id header", "not delivered"),
    Column(
        "replica",
        "key",
        "which of `provider.base_urls` it went to",
        "there is one, never sent, or old",
    ),
    Column("client_request_id", "text", "the id sent with the final attempt", "imported"),
    Column("response_json", "text", "the whole response (the merged one when streamed)", "none"),
    Column("response_bytes", "bytes", "exact bytes of a body that is not clean UTF-8", "it was"),
    Column("text_sanitized", "bool", "characters invalid in UTF-8 were replaced in texts"),
    # usage
    Column("prompt_tokens", "int", "as reported; mostly includes cached_tokens", "not reported"),
    Column(
        "completion_tokens", "int", "as reported; mostly includes reasoning_tokens", "not reported"
    ),
    Column("total_tokens", "int", "as reported", "not reported"),
    Column("cached_tokens", "int", "prompt tokens served from a cache", "not reported"),
    Column("cache_write_tokens", "int", "prompt tokens written to a cache", "not reported"),
    Column(
        "cache_write_1h_tokens", "int", "those of them that are kept for an hour", "not reported"
    ),
    Column("reasoning_tokens", "int", "completion tokens spent on reasoning", "not reported"),
    Column("audio_prompt_tokens", "int", "as reported", "not reported"),
    Column("audio_completion_tokens", "int", "as reported", "not reported"),
    Column("accepted_prediction_tokens", "int", "as reported", "not reported"),
    Column("rejected_prediction_tokens", "int", "as reported", "not reported"),
    Column("billed_usd", "money", "US dollars the provider says it billed", "not reported"),
    Column("billed_credits", "int", "credits the provider says it billed", "not reported"),
    # time
    Column("scheduled_at", "time", "when the trial was due (UTC)", "imported"),
    Column("admitted_at", "time", "when the final attempt was let go (UTC)", "imported, or old"),
    Column("sent_at", "time", "when the final attempt was sent (UTC)", "never sent, or imported"),
    Column(
        "queue_s",
        "float",
        "seconds in our own queue before the final attempt",
        "imported, or in a batch",
    ),
    Column("headers_s", "float", "seconds from sending to the response headers", "none came"),
    Column("ttft_s", "float", "seconds to the first content or reasoning token", "not streamed"),
    Column("ttfo_s", "float", "seconds to the first non-reasoning token", "not streamed"),
    Column("last_content_s", "float", "seconds to the last content chunk", "not streamed"),
    Column("ttfr_s", "float", "seconds to the first reasoning token", "none streamed, or old"),
    Column("last_reasoning_s", "float", "seconds to the last one", "none streamed, or old"),
    Column("latency_s", "float", "seconds from sending to the complete response", "none came"),
    Column("chunk_times_s", "floats", "arrival of each content chunk, from sent_at", "not kept"),
    Column(
        "in_flight",
        "int",
        "requests on the wire when this one went, itself included",
        "imported, or in a batch",
    ),
    # load (benchmarks)
    Column("measurement", "int", "which measurement of load.json it belongs to", "no load run"),
    Column("phase", "key", "measured; warmup or background (in no figure)", "no load run"),
    # batch endpoints
    Column("batch_id", "key", "the provider's batch that it was in", "sent alone, or old"),
    Column("batch_submitted_at", "time", "when the provider took the batch", "sent alone, or old"),
    Column("batch_finished_at", "time", "when the batch had ended (UTC)", "sent alone, or old"),
    # outcome
    Column("attempts", "int", "HTTP attempts made for this trial", "imported"),
    Column("http_status", "int", "of the final attempt", "no response"),
    Column("error_kind", "key", "cause, one word", "no error"),
    Column("error_message", "text", "what the server or the connection said", "no error"),
    Column("error_code", "text", "the provider's own error code", "none given"),
    Column("in_doubt", "bool", "some attempt of this trial may have been billed without an answer"),
    Column("headers_json", "text", "allow-listed response headers", "none kept"),
    # imported runs only
    Column("answer", "text", "parsed answer supplied with an import", "not supplied, or unparsed"),
    Column("score", "float", "score in 0..1 supplied with an import", "not supplied"),
    Column("cost_usd_imported", "money", "cost supplied with an import", "not supplied"),
    Column("extra_json", "text", "unknown columns of an import", "none"),
)

ATTEMPTS: tuple[Column, ...] = (
    Column("trial_id", "text", "the trial this attempt was made for"),
    Column("prompt_id", "key", "row of prompts.parquet"),
    Column("setting_id", "key", "row of settings.parquet"),
    Column("repeat", "int", "repeat of the trial"),
    Column("attempt", "int", "from 1; several rows share a trial when it was retried"),
    Column("final", "bool", "this attempt became the trial's record"),
    Column("outcome", "key", "delivered, rejected, not_sent or in_doubt"),
    Column("status", "key", "as in records"),
    Column("http_status", "int", "HTTP status", "no response"),
    Column("error_kind", "key", "cause, one word", "no error"),
    Column("error_message", "text", "what the server or the connection said", "no error"),
    Column("error_code", "text", "the provider's own error code", "none given"),
    Column("client_request_id", "text", "id sent as X-Client-Request-Id"),
    Column("inference_id", "text", "x-inference-id header", "not delivered"),
    Column(
        "replica",
        "key",
        "which of `provider.base_urls` it went to",
        "there is one, unknown after a crash, or old",
    ),
    Column("scheduled_at", "time", "when the attempt was due (UTC)", "unknown after a crash"),
    Column("admitted_at", "time", "when the throttle let it go (UTC), its slot included"),
    Column("sent_at", "time", "when it was sent (UTC)", "never sent, or unknown after a crash"),
    Column("queue_s", "float", "seconds in our own queue", "unknown after a crash, or in a batch"),
    Column("latency_s", "float", "seconds from sending to the complete response", "none came"),
    Column("backoff_s", "float", "pause decided before the next attempt", "there was none"),
    Column("in_flight", "int", "requests on the wire when it went, itself included", "in a batch"),
    Column("measurement", "int", "which measurement of load.json it belongs to", "no load run"),
    Column("phase", "key", "measured, warmup or background", "no load run, or never sent"),
    Column("batch_id", "key", "the provider's batch that it was in", "sent alone, or old"),
    Column("batch_submitted_at", "time", "when the provider took the batch", "sent alone, or old"),
    Column("batch_finished_at", "time", "when the batch had ended (UTC)", "sent alone, or old"),
    Column("prompt_tokens", "int", "as reported", "not reported"),
    Column("completion_tokens", "int", "as reported", "not reported"),
    Column("total_tokens", "int", "as reported", "not reported"),
    Column("cached_tokens", "int", "as reported", "not reported"),
    Column("cache_write_tokens", "int", "as reported", "not reported"),
    Column("cache_write_1h_tokens", "int", "as reported", "not reported"),
    Column("reasoning_tokens", "int", "as reported", "not reported"),
    Column("billed_usd", "money", "US dollars the provider says it billed", "not reported"),
    Column("reserved_usd", "money", "worst case set aside before sending", "no price known"),
    Column("headers_json", "text", "allow-listed response headers", "none kept"),
    Column("response_json", "text", "body of an attempt that did not become the record", "final"),
)

PROMPTS: tuple[Column, ...] = (
    Column("prompt_id", "text", "unique within the run"),
    Column("content_hash", "text", "hash of everything that shapes this prompt's requests"),
    Column("messages_json", "text", "chat messages", "the row holds fields for a template"),
    Column("target_json", "text", "expected answer as JSON", "no target"),
    Column("tags", "texts", "labels for grouping"),
    Column("cluster", "text", "prompts that belong together statistically", "none"),
    Column("params_json", "text", "parameters this prompt overrides", "none"),
    Column("fields_json", "text", "other columns of the row, for templates", "none"),
    Column("source", "text", "file and line", "unknown"),
    Column("scoring_json", "text", "checks of its own: scorers with weights", "none, or old"),
    Column("conversation", "text", "the row whose turn it is", "no conversation, or old"),
    Column("turn", "int", "which turn of it, from 1", "no conversation, or old"),
    Column("in_current_plan", "bool", "part of the newest plan (false: no longer in the dataset)"),
)

SETTINGS: tuple[Column, ...] = (
    Column("setting_id", "text", "hash of everything in this row that shapes a request"),
    Column("label", "text", "what varies within the run"),
    Column("provider", "text", "name of the provider configuration", "imported without one"),
    Column("endpoint", "text", "who answers: base URL, or local:<hash of weights>", "imported"),
    Column("model", "text", "model name as sent", "imported without one"),
    Column("params_json", "text", "every parameter, null ones left out"),
    Column("system", "text", "system prompt", "none"),
    Column("template", "text", "Jinja template of the user message", "none"),
    Column("axes_json", "text", "swept keys with this setting's values, or their names"),
    Column(
        "variants_json", "text", "named values by axis: name, file, sha256 of file or value", "none"
    ),
    Column("load_json", "text", "how requests arrive in a benchmark", "batch evaluation"),
    Column(
        "in_current_plan", "bool", "part of the newest plan (false: orphaned by a changed plan)"
    ),
)

ANNOTATIONS: tuple[Column, ...] = (
    Column("trial_id", "text", "the record; a row each reader that says something of it"),
    Column("prompt_id", "key", "row of prompts.parquet"),
    Column("setting_id", "key", "row of settings.parquet"),
    Column("repeat", "int", "repeat of the trial"),
    Column("mark", "key", "pass or fail", "only a note"),
    Column("note", "text", "what the reader says of it", "none"),
    Column("reader", "key", "EVALHARNESS_READER, else the user's name"),
    Column("marked_at", "time", "when mark or note last changed (UTC)"),
)

SERVER_METRICS: tuple[Column, ...] = (
    Column("read_at", "time", "when the endpoint was asked (UTC)"),
    Column("read_s", "float", "how long it took to answer"),
    Column("endpoint", "key", "its name in server_metrics.urls"),
    Column("metric", "key", "name of the sample", "it did not answer"),
    Column("kind", "key", "gauge, counter, summary or histogram, as it says", "it did not answer"),
    Column("labels_json", "key", "its labels as JSON, by name", "it did not answer"),
    Column("value", "float", "the value", "it did not answer"),
    Column("problem", "text", "why there is no answer", "there is one"),
)

TABLES: dict[str, tuple[Column, ...]] = {
    "records": RECORDS,
    "attempts": ATTEMPTS,
    "prompts": PROMPTS,
    "settings": SETTINGS,
    "annotations": ANNOTATIONS,
    "server_metrics": SERVER_METRICS,
}


def arrow_type(name: str) -> pa.DataType:
    """The Arrow type behind a type name used in the tables above."""
    import pyarrow as pa

    types: dict[str, pa.DataType] = {
        "text": pa.string(),
        # Few distinct values: plain strings in the schema, dictionary pages in the file.
        "key": pa.string(),
        "texts": pa.list_(pa.string()),
        "bytes": pa.binary(),
        "int": pa.int64(),
        "float": pa.float64(),
        "floats": pa.list_(pa.float64()),
        "bool": pa.bool_(),
        "time": pa.timestamp("ns", tz="UTC"),
        "money": pa.decimal128(24, 12),
    }
    return types[name]


@cache
def arrow_schema(table: str) -> pa.Schema:
    """The fixed Arrow schema of one of :data:`TABLES`."""
    import pyarrow as pa

    fields = [
        pa.field(c.name, arrow_type(c.type), nullable=bool(c.null) or c.type == "texts")
        for c in TABLES[table]
    ]
    return pa.schema(fields, metadata={"evalharness_schema_version": str(SCHEMA_VERSION)})


def markdown() -> str:
    """The schema as the page ``docs/schema.md``."""
    lines = [
        "# Storage schema",
        "",
        f"Schema version {SCHEMA_VERSION}. Generated by `python -m evalharness.schema`; "
        "do not edit by hand.",
        "",
        "Types: text and key are strings (key: few distinct values), time is a UTC timestamp in "
        "nanoseconds, money is `decimal128(24, 12)` US dollars. Null always means unknown or not "
        "applicable, never zero. Words: [glossary](glossary.md).",
    ]
    for name, columns in TABLES.items():
        where = f"{name}/part-*.parquet" if name in ("records", "attempts") else f"{name}.parquet"
        lines += ["", f"## {name}", "", f"`{where}`", ""]
        lines += ["| column | type | meaning | null means |", "|---|---|---|---|"]
        lines += [f"| `{c.name}` | {c.type} | {c.doc} | {c.null or '—'} |" for c in columns]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(markdown(), end="")
