"""The fields of a Reply, read from a chat completion (as sent, or merged from a stream).

Strict about what makes an answer, lenient about everything around it: without a choice that
holds a message, or an end and a usage, there is no answer; a usage of the wrong type is merely
unknown.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import astuple

from evalharness.chat_api.answer_content import read_content, read_reasoning
from evalharness.chat_api.bill import bill_in_body
from evalharness.chat_api.errors.error_body import stated_error
from evalharness.chat_api.errors.error_classification import ResponseFailure, error_in_answer
from evalharness.chat_api.lenient_json import (
    as_count,
    as_list,
    as_object,
    as_text,
    is_object,
    json_text,
)
from evalharness.chat_api.usage import find_usage, read_usage
from evalharness.config.models import Profile
from evalharness.finish_reasons import FinishKind, finish_kind
from evalharness.records import ErrorKind, Outcome, Status, Usage

_ANSWER_KEYS = ("content", "tool_calls", "function_call", "refusal", "audio")


class NoAnswerError(Exception):
    """The body is JSON but no answer; carries the classified failure, and how it ended."""

    def __init__(self, failure: ResponseFailure, finish_reason: str | None = None) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.finish_reason = finish_reason


def read_completion(top: dict[str, Any], profile: Profile | None) -> dict[str, Any]:
    """The fields of a Reply that come from the completion, status included.

    Args:
        top: the completion, its texts valid Unicode.
        profile: the provider's words for an account without money, and the form of its bill.

    Raises:
        NoAnswerError: no choice, no message, or an error object in their place.
    """
    choices = [as_object(item) for item in as_list(top.get("choices")) if is_object(item)]
    if not choices and (error := stated_error(top)) is not None:
        raise NoAnswerError(
            error_in_answer(error, ErrorKind.BAD_RESPONSE, profile, before_content=True)
        )
    metadata = metadata_fields(top, profile)
    if not choices and (other := _other_protocol(top)) is not None:
        raise _bad_response(
            f"the response has the form of another API: provider.protocol={other} reads it"
        )
    if not choices and (top.get("choices") or not has_usage(metadata)):
        raise _bad_response("the response has no choices")
    # Without a choice tokens were counted: an answer that was paid for, and is empty.
    first: dict[str, Any] = choices[0] if choices else {}
    choice = next((c for c in choices if as_count(c.get("index")) == 0), first)
    finish = as_text(choice.get("finish_reason")) or None
    if top.get("error") and not finish and not _has_answer(choice):
        raise NoAnswerError(
            error_in_answer(top["error"], ErrorKind.BAD_RESPONSE, profile, before_content=True)
        )
    kind = finish_kind(finish)
    if kind is FinishKind.BROKEN or choice.get("error"):
        error = choice.get("error") or top.get("error") or f"finish_reason is {finish}"
        failure = error_in_answer(error, ErrorKind.BAD_RESPONSE, profile, before_content=False)
        raise NoAnswerError(failure, finish)
    message = choice.get("message")
    if message is None and (finish or has_usage(metadata)) and not _has_other_form(choice):
        message = {}
    if not isinstance(message, dict):
        raise _bad_response("the first choice has no message")
    message = as_object(message)
    fields = _message_fields(message)
    fields["status"] = answer_status(
        kind,
        refusal=fields["refusal"],
        has_output=bool(
            fields["text"] or fields["tool_calls_json"] or as_object(message.get("audio"))
        ),
    )
    fields["finish_reason"] = finish
    fields["logprobs_json"] = json_text(as_object(choice.get("logprobs")))
    if len(choices) > 1:
        fields["choices_json"] = json_text(choices)
    fields.update(metadata)
    return fields


def answer_status(kind: FinishKind, *, refusal: str | None, has_output: bool) -> Status:
    """The status of an answer that was delivered.

    Args:
        kind: what its finish_reason says.
        refusal: its refusal, if any.
        has_output: whether it has a text, a tool call or audio.
    """
    if kind is FinishKind.FILTERED or refusal:
        return Status.REFUSED
    if kind is FinishKind.CUT:
        return Status.TRUNCATED
    return Status.OK if has_output else Status.EMPTY


def has_usage(fields: dict[str, Any]) -> bool:
    """Whether the server counted any token: then it generated, and bills."""
    return any(astuple(fields.get("usage") or Usage()))


def _has_answer(choice: dict[str, Any]) -> bool:
    """Whether a choice holds any part of an answer."""
    message = as_object(choice.get("message"))
    return any(message.get(key) for key in _ANSWER_KEYS) or _has_other_form(choice)


def _other_protocol(top: dict[str, Any]) -> str | None:
    """The protocol of an answer that is not in the form of the one that was asked in."""
    if top.get("type") == "message" and isinstance(top.get("content"), list | str):
        return "messages"
    is_response = top.get("object") == "response" and isinstance(top.get("output"), list)
    return "responses" if is_response else None


def _has_other_form(choice: dict[str, Any]) -> bool:
    """Whether a choice without a message says something all the same."""
    return bool(choice.get("delta") or choice.get("text"))


def metadata_fields(top: dict[str, Any], profile: Profile | None = None) -> dict[str, Any]:
    """The fields around the choices: model and ids, usage, the bill in its ``profile``'s form."""
    fields: dict[str, Any] = {
        "response_model": as_text(top.get("model")),
        "system_fingerprint": as_text(top.get("system_fingerprint")),
        "service_tier": as_text(top.get("service_tier")),
        "response_id": as_text(top.get("id")),
        "response_created": as_count(top.get("created")),
    }
    usage = find_usage(top)
    if usage:
        fields["usage"] = read_usage(usage)
    fields["billed_usd"], fields["billed_credits"] = bill_in_body(top, profile)
    return fields


def _message_fields(message: dict[str, Any]) -> dict[str, Any]:
    calls = [as_object(call) for call in as_list(message.get("tool_calls")) if is_object(call)]
    legacy = as_object(message.get("function_call"))
    if not calls and legacy:
        calls = [{"type": "function", "function": legacy}]
    content = message.get("content")
    if content is not None and not isinstance(content, str | list) and not calls:
        raise _bad_response("the message's content is neither a text nor null")
    texts = read_content(content)
    return {
        "text": texts.text,
        "reasoning": read_reasoning(message, texts.reasoning),
        "refusal": as_text(message.get("refusal")) or texts.refusal or None,
        "tool_calls_json": json_text([_with_text_arguments(call) for call in calls]),
        "annotations_json": json_text(as_list(message.get("annotations"))),
        "audio_json": _audio(message.get("audio")),
    }


def _with_text_arguments(call: dict[str, Any]) -> dict[str, Any]:
    """A tool call whose arguments are JSON text, as documented: some servers send an object."""
    function = as_object(call.get("function"))
    arguments = json_text(function.get("arguments")) if function.get("arguments") != {} else "{}"
    return {**call, "function": {**function, "arguments": arguments}} if arguments else call


def _audio(value: Any) -> str | None:
    """The metadata of an audio answer; the sound itself stays in ``response_json``."""
    if value is None:
        return None
    audio = as_object(value)
    return json_text(
        {key: audio[key] for key in ("id", "transcript", "expires_at") if key in audio}
    )


def _bad_response(message: str) -> NoAnswerError:
    return NoAnswerError(ResponseFailure(ErrorKind.BAD_RESPONSE, Outcome.IN_DOUBT, message))
