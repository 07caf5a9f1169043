"""Request bodies: from a setting and a prompt to the bytes that are sent."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from evalharness.chat_api.json_checks import ShapeError
from evalharness.chat_api.params import RESERVED, check_together
from evalharness.config.models import Profile
from evalharness.errors import ConfigError
from evalharness.parameters import NOT_EXTRA, merge_params
from evalharness.records import Prompt, Setting, canonical_json


def build_body(
    setting: Setting, prompt: Prompt, messages: list[dict[str, Any]], profile: Profile
) -> bytes:
    """The request body as canonical JSON: equal requests are equal bytes.

    Args:
        setting: gives the model and the parameters.
        prompt: its ``params`` override the setting's, null removing one; ``extra`` objects are
            merged key by key.
        messages: the final messages, system prompt included.
        profile: says whether ``stream_options.include_usage`` is added to a streamed request that
            does not set ``stream_options`` itself.

    Raises:
        ConfigError: an ``extra`` field has the name of a known one, or parameters that are
            valid alone do not go together.
    """
    fields = _fields(setting, prompt.params, profile, prompt.prompt_id)
    return canonical_json({**fields, "messages": messages})


class BodyTemplate(NamedTuple):
    """The bytes before and after the messages in the bodies of a setting."""

    prefix: bytes
    suffix: bytes

    def body(self, messages: list[dict[str, Any]]) -> bytes:
        """The body that :func:`build_body` makes for a prompt without parameters of its own."""
        return self.prefix + canonical_json(messages) + self.suffix


# Stands for the messages: no JSON text holds this byte, as control characters are escaped.
_PLACEHOLDER = b"\0"


def body_template(setting: Setting, profile: Profile) -> BodyTemplate:
    """The part of a setting's bodies that does not depend on the prompt.

    Raises:
        ConfigError: as :func:`build_body`.
    """
    fields = _fields(setting, {}, profile, "")
    prefix, _, suffix = canonical_json({**fields, "messages": msgspec.Raw(_PLACEHOLDER)}).partition(
        _PLACEHOLDER
    )
    return BodyTemplate(prefix, suffix)


def _fields(
    setting: Setting, overrides: dict[str, Any], profile: Profile, prompt_id: str
) -> dict[str, Any]:
    """The body without its messages; ``overrides`` are the parameters of a prompt, if any."""
    body = merge_params(setting.params, overrides)
    extra: dict[str, Any] = body.pop("extra", {})
    if body.get("stream") is True and profile.stream_usage and "stream_options" not in body:
        body["stream_options"] = {"include_usage": True}
    where = "params" if not overrides else f"params (with those of prompt {prompt_id})"
    try:
        check_together(body, where)
    except ShapeError as error:
        raise ConfigError(f"`{error.path}` {error.problem}", hint=error.hint) from None
    for key, value in extra.items():
        if key in RESERVED or key in NOT_EXTRA or key in body:
            raise ConfigError(f"`params.extra.{key}` would overwrite a known field")
        body[key] = value
    body["model"] = setting.model
    return body
