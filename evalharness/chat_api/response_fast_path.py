"""The fast path for completions in the documented form: one typed decoder reads them.

Nearly every answer is one choice that holds a text, with counts of the right types around it. Such
a body is decoded straight into the fields that are stored, at a third of the cost of checking every
field. Any other form is left to :mod:`.response_fields`, which gives the same result for what both
can read.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec

from evalharness.chat_api.bill import bill_forms
from evalharness.chat_api.lenient_json import INT_LIMIT, as_count, as_usd
from evalharness.chat_api.response_fields import answer_status
from evalharness.config.models import Profile
from evalharness.finish_reasons import FinishKind, finish_kind
from evalharness.records import Outcome, Usage

_Count = Annotated[int, msgspec.Meta(ge=0, lt=INT_LIMIT)]
_EmptyList = Annotated[list[msgspec.Raw], msgspec.Meta(max_length=0)] | None
# Lone surrogates are spelled so; only the lenient reader replaces them.
_SURROGATE = re.compile(rb"\\u[dD]")


# A field that is typed None is left to the lenient reader where it holds anything.


class _Message(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_text: str | None = None
    thinking: str | None = None
    reasoning_details: _EmptyList = None
    thinking_blocks: _EmptyList = None
    refusal: str | None = None
    tool_calls: _EmptyList = None
    annotations: _EmptyList = None
    function_call: None = None
    audio: None = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None
    logprobs: None = None
    error: None = None
    usage: None = None


class _PromptDetails(msgspec.Struct):
    cached_tokens: _Count | None = None
    audio_tokens: _Count | None = None
    cache_write_tokens: None = None
    cache_creation_tokens: None = None
    cache_creation_input_tokens: None = None
    cache_creation: None = None


class _CompletionDetails(msgspec.Struct):
    audio_tokens: _Count | None = None
    reasoning_tokens: _Count | None = None
    accepted_prediction_tokens: _Count | None = None
    rejected_prediction_tokens: _Count | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: _Count | None = None
    completion_tokens: _Count | None = None
    total_tokens: _Count | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None
    input_tokens: None = None
    output_tokens: None = None
    input_tokens_details: None = None
    output_tokens_details: None = None
    cached_tokens: None = None
    prompt_cache_hit_tokens: None = None
    cache_read_input_tokens: None = None
    cache_creation_input_tokens: None = None
    cache_write_tokens: None = None
    cache_creation: None = None
    reasoning_tokens: None = None
    cost: None = None
    cost_in_usd_ticks: None = None
    estimated_cost: None = None


class _Billing(msgspec.Struct):
    usd_spent: Any = None
    credits_used: Any = None


class _Meta(msgspec.Struct):
    usage: _Billing | None = None


class _Completion(msgspec.Struct):
    choices: Annotated[list[_Choice], msgspec.Meta(min_length=1, max_length=1)]
    id: str | None = None
    created: _Count | None = None
    model: str | None = None
    system_fingerprint: str | None = None
    service_tier: str | None = None
    usage: _Usage | None = None
    meta: _Meta | None = None
    error: None = None
    x_groq: None = None


_decode = msgspec.json.Decoder(_Completion).decode
_NO_PROMPT_DETAILS, _NO_COMPLETION_DETAILS = _PromptDetails(), _CompletionDetails()


def read_fast_path(body: bytes, profile: Profile | None = None) -> dict[str, Any] | None:
    """The fields of a Reply that come from the body; None where it has another form.

    Args:
        body: of the response.
        profile: of the provider, for the form of its bill.
    """
    if _SURROGATE.search(body):
        return None
    try:
        top = _decode(body)
        text = body.decode()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    choice = top.choices[0]
    message, finish = choice.message, choice.finish_reason or None
    kind = finish_kind(finish)
    if kind is FinishKind.BROKEN:
        return None
    thoughts = {
        text
        for text in (
            message.reasoning_content,
            message.reasoning,
            message.reasoning_text,
            message.thinking,
        )
        if text
    }
    if len(thoughts) > 1:
        return None
    fields: dict[str, Any] = {
        "outcome": Outcome.DELIVERED,
        "status": answer_status(kind, refusal=message.refusal, has_output=bool(message.content)),
        "text": message.content,
        "reasoning": next(iter(thoughts), None),
        "refusal": message.refusal or None,
        "finish_reason": finish,
        "response_model": top.model,
        "system_fingerprint": top.system_fingerprint,
        "service_tier": top.service_tier,
        "response_id": top.id,
        "response_created": top.created,
        "response_json": text,
    }
    if top.usage is not None:
        fields["usage"] = _usage(top.usage)
    if top.meta is not None and top.meta.usage is not None and "aimlapi" in bill_forms(profile):
        fields["billed_usd"] = as_usd(top.meta.usage.usd_spent)
        fields["billed_credits"] = as_count(top.meta.usage.credits_used)
    return fields


def _usage(usage: _Usage) -> Usage:
    prompt = usage.prompt_tokens_details or _NO_PROMPT_DETAILS
    completion = usage.completion_tokens_details or _NO_COMPLETION_DETAILS
    return Usage(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        total_tokens=usage.total_tokens,
        cached_tokens=prompt.cached_tokens,
        audio_prompt_tokens=prompt.audio_tokens,
        audio_completion_tokens=completion.audio_tokens,
        reasoning_tokens=completion.reasoning_tokens,
        accepted_prediction_tokens=completion.accepted_prediction_tokens,
        rejected_prediction_tokens=completion.rejected_prediction_tokens,
    )
