"""The fields of a Reply, read from a chat completion (as sent, or merged from a stream).

Strict about what makes an answer, lenient about everything around it: without a choice that
holds a message there is no answer; a usage of the wrong type is merely unknown.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, cast

from evalharness.chat_api.error_classification import ResponseFailure, error_in_answer
from evalharness.chat_api.lenient_json import (
    as_count,
    as_list,
    as_object,
    as_text,
    as_usd,
    is_object,
    json_text,
)
from evalharness.config.models import Profile
from evalharness.records import ErrorKind, Outcome, Status, Usage

_TOKENS = ("prompt_tokens", "completion_tokens", "total_tokens")
_COMPLETION_DETAILS = (
    "reasoning_tokens",
    "accepted_prediction_tokens",
    "rejected_prediction_tokens",
)


class NoAnswerError(Exception):
    """The body is JSON but no answer; carries the classified failure."""

    def __init__(self, failure: ResponseFailure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def read_completion(top: dict[str, Any], profile: Profile | None) -> dict[str, Any]:
    """The fields of a Reply that come from the completion, status included.

    Args:
        top: the completion, its texts valid Unicode.
        profile: the provider's words for an account without money.

    Raises:
        NoAnswerError: no choice, no message, or an error object in their place.
    """
    choices = [as_object(item) for item in as_list(top.get("choices")) if is_object(item)]
    if top.get("error") and not choices:
        raise NoAnswerError(
            error_in_answer(top["error"], ErrorKind.BAD_RESPONSE, profile, before_content=True)
        )
    if not choices:
        raise _bad_response("the response has no choices")
    choice = next((c for c in choices if as_count(c.get("index")) == 0), choices[0])
    finish = as_text(choice.get("finish_reason"))
    if finish == "error" or choice.get("error"):
        error = choice.get("error") or top.get("error") or "finish_reason is error"
        raise NoAnswerError(
            error_in_answer(error, ErrorKind.BAD_RESPONSE, profile, before_content=False)
        )
    if not isinstance(choice.get("message"), dict):
        raise _bad_response("the first choice has no message")
    message = as_object(choice["message"])
    fields = _message_fields(message)
    fields["status"] = _status(finish, fields, message)
    fields["finish_reason"] = finish
    fields["logprobs_json"] = json_text(as_object(choice.get("logprobs")))
    if len(choices) > 1:
        fields["choices_json"] = json_text(choices)
    fields.update(metadata_fields(top))
    return fields


def metadata_fields(top: dict[str, Any]) -> dict[str, Any]:
    """The fields around the choices: model and ids, usage, billing."""
    fields: dict[str, Any] = {
        "response_model": as_text(top.get("model")),
        "system_fingerprint": as_text(top.get("system_fingerprint")),
        "service_tier": as_text(top.get("service_tier")),
        "response_id": as_text(top.get("id")),
        "response_created": as_count(top.get("created")),
    }
    usage = top.get("usage")
    if isinstance(usage, dict):
        fields["usage"] = _usage(cast("dict[str, Any]", usage))
    billed = as_object(as_object(top.get("meta")).get("usage"))
    if billed:
        fields["billed_usd"] = as_usd(billed.get("usd_spent"))
        fields["billed_credits"] = as_count(billed.get("credits_used"))
    return fields


def billed_in_headers(headers: dict[str, str]) -> tuple[Decimal | None, int | None]:
    """Dollars and credits the AI/ML API states in its response headers."""
    stated = headers.get("x-aimlapi-credits-used", "").strip()
    credits_used = (
        int(stated) if stated.isascii() and stated.isdigit() and len(stated) < 16 else None
    )
    spent = headers.get("x-aimlapi-usd-spent")
    return None if spent is None else as_usd(spent), credits_used


def _message_fields(message: dict[str, Any]) -> dict[str, Any]:
    calls = [as_object(call) for call in as_list(message.get("tool_calls")) if is_object(call)]
    legacy = as_object(message.get("function_call"))
    if not calls and legacy:
        calls = [{"type": "function", "function": legacy}]
    content = message.get("content")
    if content is not None and not isinstance(content, str | list) and not calls:
        raise _bad_response("the message's content is neither a text nor null")
    text, thought = _content(content)
    return {
        "text": text,
        "reasoning": as_text(message.get("reasoning_content"))
        or as_text(message.get("reasoning"))
        or thought,
        "refusal": as_text(message.get("refusal")) or None,
        "tool_calls_json": json_text(calls),
        "annotations_json": json_text(as_list(message.get("annotations"))),
        "audio_json": _audio(message.get("audio")),
    }


def _audio(value: Any) -> str | None:
    """The metadata of an audio answer; the sound itself stays in ``response_json``."""
    if value is None:
        return None
    audio = as_object(value)
    return json_text(
        {key: audio[key] for key in ("id", "transcript", "expires_at") if key in audio}
    )


def _content(content: Any) -> tuple[str | None, str | None]:
    """Text and reasoning of a content that is a text, null, or a list of typed parts."""
    if not isinstance(content, list):
        return as_text(content), None
    texts: list[str] = []
    thoughts: list[str] = []
    for part in cast("list[Any]", content):
        fields = as_object(part)
        text = part if isinstance(part, str) else as_text(fields.get("text"))
        if text is not None:
            texts.append(text)
        elif "thinking" in fields:
            thoughts.append(_content(fields["thinking"])[0] or "")
    return "".join(texts) if texts else None, "".join(thoughts) or None


def _status(finish: str | None, fields: dict[str, Any], message: dict[str, Any]) -> Status:
    if finish == "content_filter" or fields["refusal"]:
        return Status.REFUSED
    if finish == "length":
        return Status.TRUNCATED
    if fields["text"] or fields["tool_calls_json"] or as_object(message.get("audio")):
        return Status.OK
    return Status.EMPTY


def _usage(usage: dict[str, Any]) -> Usage:
    counts = {name: as_count(usage.get(name)) for name in _TOKENS}
    prompt = as_object(usage.get("prompt_tokens_details"))
    completion = as_object(usage.get("completion_tokens_details"))
    if prompt:
        counts["cached_tokens"] = as_count(prompt.get("cached_tokens"))
        counts["audio_prompt_tokens"] = as_count(prompt.get("audio_tokens"))
    if completion:
        counts["audio_completion_tokens"] = as_count(completion.get("audio_tokens"))
        counts |= {name: as_count(completion.get(name)) for name in _COMPLETION_DETAILS}
    return Usage(**counts)


def _bad_response(message: str) -> NoAnswerError:
    return NoAnswerError(ResponseFailure(ErrorKind.BAD_RESPONSE, Outcome.IN_DOUBT, message))
