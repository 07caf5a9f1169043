"""The values that all packages share: prompts, settings, trials, attempts and replies.

Everything here is a frozen value (``msgspec.Struct``). ``None`` always means *unknown* or *not
applicable*, never zero. Durations are float seconds (``_s``), instants are integer nanoseconds
since the Unix epoch in UTC (``_at_ns``), money is ``Decimal`` US dollars (``_usd``), token counts
are the API's own. The Parquet columns made from these values are in :mod:`evalharness.schema`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Any, cast

import msgspec

SCHEMA_VERSION = 2


class Status(StrEnum):
    """What a record holds. A failure is a status, never a text."""

    OK = "ok"
    EMPTY = "empty"  # delivered, with neither text nor a tool call
    TRUNCATED = "truncated"  # finish_reason=length, or another word for it
    REFUSED = "refused"  # a refusal field, a filter's finish_reason, or a filter's error
    ERROR = "error"  # no answer was delivered


class Outcome(StrEnum):
    """What is known after one HTTP attempt: the billing class of the retry table."""

    # A complete answer, or a filter's refusal of the prompt: never requested again.
    DELIVERED = "delivered"
    REJECTED = "rejected"  # the server said no before generating
    NOT_SENT = "not_sent"  # the request never reached the server
    IN_DOUBT = "in_doubt"  # it may have been served and billed; nobody can know from here


class ErrorKind(StrEnum):
    """Why an attempt delivered no answer of the model. Stored as text; one word a cause."""

    # Never reached the server.
    DNS = "dns"
    CONNECT = "connect"
    CONNECT_TIMEOUT = "connect_timeout"
    TLS = "tls"
    POOL_TIMEOUT = "pool_timeout"
    BAD_URL = "bad_url"
    # The server answered with a refusal.
    BAD_REQUEST = "bad_request"
    UNAUTHORIZED = "unauthorized"
    OUT_OF_CREDIT = "out_of_credit"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    RATE_LIMITED = "rate_limited"
    QUOTA = "quota"
    UNAVAILABLE = "unavailable"
    SERVER_ERROR = "server_error"
    CONTENT_FILTER = "content_filter"  # what the prompt says was refused; its status is REFUSED
    REDIRECT = "redirect"
    HTTP_OTHER = "http_other"
    # Sent, but nothing usable came back.
    WRITE_TIMEOUT = "write_timeout"
    FIRST_BYTE_TIMEOUT = "first_byte_timeout"
    STALL_TIMEOUT = "stall_timeout"
    TOTAL_TIMEOUT = "total_timeout"
    CONNECTION_LOST = "connection_lost"
    TOO_LARGE = "too_large"
    BAD_ENCODING = "bad_encoding"
    NOT_JSON = "not_json"
    BAD_RESPONSE = "bad_response"
    STREAM_CUT = "stream_cut"
    STREAM_ERROR = "stream_error"
    # The process stopped after sending and before the answer.
    INTERRUPTED = "interrupted"
    EARLIER_TURN = "earlier_turn"  # an earlier turn of its conversation has no answer; not sent
    EXPIRED = "expired"  # its batch ended before it was served
    CANCELLED = "cancelled"  # its batch was cancelled before


class Phase(StrEnum):
    """The part of a load point that a request belongs to."""

    WARMUP = "warmup"  # the load comes up; in no figure
    MEASURED = "measured"
    BACKGROUND = "background"  # traffic beside the measured requests; in no figure


class Usage(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Tokens as the provider counted them; None where it did not say.

    ``prompt_tokens`` includes ``cached_tokens`` and ``cache_write_tokens``, which includes
    ``cache_write_1h_tokens`` (kept for an hour); ``completion_tokens`` includes
    ``reasoning_tokens``. Not all providers count so: where ``total_tokens`` says
    otherwise, :mod:`evalharness.pricing.usage_rules` decides what is billed.
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    audio_prompt_tokens: int | None = None
    audio_completion_tokens: int | None = None
    accepted_prediction_tokens: int | None = None
    rejected_prediction_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_1h_tokens: int | None = None


class Reply(msgspec.Struct, frozen=True, array_like=True, kw_only=True, gc=False):
    """The outcome of one HTTP attempt: a classified value for any bytes a server can send.

    Texts are valid UTF-8 without lone surrogates (``text_sanitized`` tells when characters had to
    be replaced; ``response_bytes`` then holds the exact bytes). ``*_json`` fields hold the
    provider's own JSON, re-encoded. Times are seconds since the request was sent and None where
    nothing arrived.
    """

    outcome: Outcome
    status: Status
    http_status: int | None = None
    error_kind: ErrorKind | None = None
    error_message: str | None = None
    error_code: str | None = None  # the provider's own code or type, e.g. "insufficient_quota"
    # The content of choice 0; all choices are in choices_json when there is more than one.
    text: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    finish_reason: str | None = None
    tool_calls_json: str | None = None
    annotations_json: str | None = None
    audio_json: str | None = None  # id, transcript, expires_at; the audio is in response_json
    logprobs_json: str | None = None
    choices_json: str | None = None
    # Which model answered.
    response_model: str | None = None
    system_fingerprint: str | None = None
    service_tier: str | None = None
    response_id: str | None = None
    response_created: int | None = None  # Unix seconds, as the server stated
    inference_id: str | None = None  # x-inference-id
    # Tokens and cost.
    usage: Usage = Usage()
    billed_usd: Decimal | None = None
    billed_credits: int | None = None
    # Times.
    sent_at_ns: int | None = None
    headers_s: float | None = None  # until the response headers
    ttft_s: float | None = None  # until the first content or reasoning token (streamed only)
    ttfo_s: float | None = None  # until the first non-reasoning token (streamed only)
    last_content_s: float | None = None  # until the last content chunk (streamed only)
    latency_s: float | None = None  # until the response was complete
    chunk_times_s: list[float] | None = None  # arrival of each content chunk (streamed only)
    # The whole response.
    response_json: str | None = None
    response_bytes: bytes | None = None
    text_sanitized: bool = False
    headers: dict[str, str] = {}  # allow-listed, lower-case names
    # Streamed only: until the first and the last chunk of reasoning, which is no output.
    ttfr_s: float | None = None
    last_reasoning_s: float | None = None
    retry_after_s: float | None = None  # seconds that the body of an error asks to wait
    replica: str | None = None  # which of several addresses answered; None where there is one


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """One dataset row: the statistical unit.

    ``messages`` is None where the row holds fields for a template instead; ``params`` overrides
    the setting's parameters for this prompt alone (tools, response_format, …). ``scoring`` are the
    checks of the row itself, as a configuration writes scorers, each perhaps with a ``weight``.

    A turn of a conversation is a prompt: ``conversation`` is the id of its row, ``turn`` counts
    from 1, and ``messages`` hold what the user says up to it; the answers between are those that
    come. Both are None of any other row.
    """

    prompt_id: str
    messages: list[dict[str, Any]] | None = None
    target: Any = None
    tags: list[str] = []
    cluster: str | None = None
    params: dict[str, Any] = {}
    fields: dict[str, Any] = {}
    source: str | None = None  # file:line, for messages to people
    scoring: list[Any] = []
    conversation: str | None = None
    turn: int | None = None


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """A named value of an axis.

    ``file`` is the file that it was read from; None: it was written in the configuration.
    ``sha256`` is of the file's bytes, or of the value: a text's UTF-8, else canonical JSON.
    """

    name: str
    file: str | None
    sha256: str


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """What a request is sent with: provider, model, parameters, system prompt, template.

    ``setting_id`` is a hash of everything that shapes a request; ``axes`` are the swept keys with
    this setting's values, by name where they have one (then ``variants`` says what stands behind
    it); ``label`` names only what varies within the run.
    """

    setting_id: str
    label: str
    provider: str
    endpoint: str  # identity of who answers: a base URL, or local:<hash of the weights>
    model: str
    params: dict[str, Any] = {}
    system: str | None = None
    template: str | None = None
    axes: dict[str, Any] = {}
    variants: dict[str, Variant] = {}
    load: dict[str, Any] = {}  # how its requests arrive in a benchmark; empty in batch evaluation


class Trial(msgspec.Struct, frozen=True):
    """One prompt under one setting in one repeat: exactly one answer is wanted.

    ``position`` is the place in the shuffled order of the plan that created it; a later turn of a
    conversation has that of the first one. ``earlier`` are the answers to the turns before.
    """

    trial_id: str
    prompt: Prompt
    setting: Setting
    repeat: int
    position: int
    earlier: tuple[str, ...] = ()


class Intent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An attempt about to be sent, stored durably first.

    An intent without an :class:`AttemptResult` after a crash is *in doubt*: it may have been
    served and billed.
    """

    trial_id: str
    prompt_id: str
    setting_id: str
    repeat: int
    position: int
    attempt: int  # from 1
    client_request_id: str
    admitted_at_ns: int
    in_flight: int  # requests on the wire when this one goes, itself included
    reserved_usd: Decimal | None = None
    # Benchmarks only: which measurement of a load point, and whether it is warm-up (see Phase).
    measurement: int | None = None
    phase: Phase | None = None
    batch_file: str | None = None  # the file of requests that it waits in; None: sent alone


class AttemptResult(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The result of one attempt. ``final`` means that it is also the trial's record.

    ``body`` is the exact request body, kept with the final attempt only. ``queue_s`` is the
    time from being scheduled to being sent: our own waiting, never part of a latency.
    """

    intent: Intent
    reply: Reply
    final: bool
    scheduled_at_ns: int
    queue_s: float
    body: bytes | None = None
    in_doubt_before: int = 0  # earlier attempts of this trial whose outcome stayed unknown
    backoff_s: float | None = None  # pause decided before the next attempt, None when final
    # Whether the body has the setting's parameters; False where its prompt has its own, or unknown.
    params_of_setting: bool = False
    batch_id: str | None = None  # batches only, as the next two: the columns of these names
    batch_submitted_at_ns: int | None = None
    batch_finished_at_ns: int | None = None
    # Where its prompt has its own: those of both that have a column; None: see params_of_setting.
    merged_params: dict[str, Any] | None = None


def digest(*parts: bytes) -> str:
    """A 128-bit content hash (BLAKE2b) of the parts, length-prefixed, as 32 hex characters."""
    prefixed = [len(part).to_bytes(8, "little") + part for part in parts]
    return hashlib.blake2b(b"".join(prefixed), digest_size=16).hexdigest()


_canonical = msgspec.json.Encoder(order="deterministic", decimal_format="string")


def canonical_json(value: Any) -> bytes:
    """Encode as compact JSON with sorted keys: equal values give equal bytes."""
    return _canonical.encode(value)


# Longer texts of a content part that is no text are data.
_SHOWN_CHARS = 80


def shown_content(content: Any) -> Any:
    """A message's content as it is shown: the data of images, recordings and files cut short."""
    if not isinstance(content, list):
        return content
    parts = cast("list[Any]", content)
    return [
        part if isinstance(part, dict) and part.get("type") == "text" else _cut_data(part)  # pyright: ignore[reportUnknownMemberType]
        for part in parts
    ]


def _cut_data(value: Any) -> Any:
    if isinstance(value, str):
        return value if len(value) <= _SHOWN_CHARS else f"{value[: _SHOWN_CHARS // 2]}…"
    if isinstance(value, dict):
        return {key: _cut_data(item) for key, item in cast("dict[str, Any]", value).items()}
    return value


_PLACE = "(the answer that came)"


def with_places(messages: list[dict[str, Any]], turn: int | None) -> list[dict[str, Any]]:
    """The messages of a prompt as they are shown, with a note where answers stand between them."""
    return messages if turn is None else with_answers(messages, [_PLACE] * (turn - 1))


def with_answers(messages: list[dict[str, Any]], answers: Sequence[str]) -> list[dict[str, Any]]:
    """The messages of a turn with the answers to the turns before, each after its question.

    Args:
        messages: of the turn's prompt, perhaps after a system prompt.
        answers: to the turns before, in their order.
    """
    first = len(messages) - len(answers) - 1  # of the user's messages
    conversation = list(messages[:first])
    for question, answer in zip(messages[first:], answers, strict=False):
        conversation += [question, {"role": "assistant", "content": answer}]
    return [*conversation, messages[-1]]
