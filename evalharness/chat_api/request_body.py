"""Request bodies: from a setting and a prompt to the bytes that are sent."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import msgspec

from evalharness.chat_api.json_checks import ShapeError
from evalharness.chat_api.params import RESERVED, check_together
from evalharness.chat_api.protocol import ApiProtocol
from evalharness.chat_api.protocols import get_protocol
from evalharness.config.models import Profile
from evalharness.errors import ConfigError
from evalharness.parameters import NOT_EXTRA, merge_params
from evalharness.records import Prompt, Setting, canonical_json

_CHAT = get_protocol("chat")


def build_body(
    setting: Setting,
    prompt: Prompt,
    messages: list[dict[str, Any]],
    profile: Profile,
    protocol: ApiProtocol = _CHAT,
) -> bytes:
    """The request body as canonical JSON: equal requests are equal bytes.

    Args:
        setting: gives the model and the parameters.
        prompt: its ``params`` override the setting's, null removing one; ``extra`` objects are
            merged key by key.
        messages: the final messages, system prompt included.
        profile: says whether ``stream_options.include_usage`` is added to a streamed request that
            does not set ``stream_options`` itself.
        protocol: of the endpoint.

    Raises:
        ConfigError: an ``extra`` field has the name of a known one, parameters that are valid
            alone do not go together, or the protocol cannot say one.
    """
    fields = _fields(setting, prompt.params, profile, protocol, prompt.prompt_id)
    return canonical_json(fields | protocol.conversation(messages))


class BodyTemplate(NamedTuple):
    """The bytes before and after the messages in the bodies of a setting."""

    prefix: bytes
    suffix: bytes

    def body(self, messages: list[dict[str, Any]]) -> bytes:
        """The body that :func:`build_body` makes for a prompt without parameters of its own."""
        return self.prefix + canonical_json(messages) + self.suffix


# Stands for the messages: no JSON text holds this byte, as control characters are escaped.
_PLACEHOLDER = b"\0"


def body_template(
    setting: Setting, profile: Profile, protocol: ApiProtocol = _CHAT
) -> BodyTemplate:
    """The part of a setting's bodies that does not depend on the prompt.

    The ``protocol`` must have the messages in one list.

    Raises:
        ConfigError: as :func:`build_body`.
    """
    fields = _fields(setting, {}, profile, protocol, "")
    whole: Any = fields | protocol.conversation(cast("Any", msgspec.Raw(_PLACEHOLDER)))
    prefix, _, suffix = canonical_json(whole).partition(_PLACEHOLDER)
    return BodyTemplate(prefix, suffix)


def _fields(
    setting: Setting,
    overrides: dict[str, Any],
    profile: Profile,
    protocol: ApiProtocol,
    prompt_id: str,
) -> dict[str, Any]:
    """The body without its messages; ``overrides`` are the parameters of a prompt, if any."""
    params = merge_params(setting.params, overrides)
    extra: dict[str, Any] = params.pop("extra", {})
    where = "params" if not overrides else f"params (with those of prompt {prompt_id})"
    try:
        check_together(params, where)
        if overrides:
            protocol.check(params | {"extra": extra}, where, partial=False)
    except ShapeError as error:
        raise ConfigError(f"`{error.path}` {error.problem}", hint=error.hint) from None
    body = protocol.fields(params, profile)
    for key, value in extra.items():
        if key in body and key in protocol.shared_fields:
            body[key] = _joined(body[key], value)
        elif key in RESERVED or key in NOT_EXTRA - protocol.lacks or key in body:
            raise ConfigError(f"`params.extra.{key}` would overwrite a known field")
        else:
            body[key] = value
    body["model"] = setting.model
    return {**protocol.defaults, **body}


def _joined(field: Any, more: Any) -> Any:
    """An object with further keys, or a list with further items; the protocol checked both."""
    if isinstance(field, dict):
        return {**more, **cast("dict[str, Any]", field)}
    items = cast("list[Any]", field)
    return [*items, *(item for item in more if item not in items)]
