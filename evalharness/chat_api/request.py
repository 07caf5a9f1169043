"""From a setting and a prompt to the bytes of one request, and back to what was asked."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from evalharness.chat_api.json_checks import ShapeError
from evalharness.chat_api.messages import check_messages
from evalharness.chat_api.params import RESERVED, check_params, check_together, known_params
from evalharness.config.models import Profile
from evalharness.errors import ConfigError
from evalharness.records import Prompt, Setting, canonical_json

__all__ = [
    "Asked",
    "Frame",
    "asked",
    "build_body",
    "check_messages",
    "check_params",
    "frame_of",
    "known_params",
]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The sampling parameters of a body as sent; None where one was not sent."""

    model: str
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    max_tokens: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    n: int | None = None
    stream: bool | None = None


_asked = msgspec.json.Decoder(Asked)


def asked(body: bytes) -> Asked:
    """Read the sampling parameters back out of a body made by :func:`build_body`."""
    return _asked.decode(body)


def build_body(
    setting: Setting, prompt: Prompt, messages: list[dict[str, Any]], profile: Profile
) -> bytes:
    """The request body as canonical JSON: equal requests are equal bytes.

    Args:
        setting: gives the model and the parameters.
        prompt: its ``params`` lie over the setting's, null removing one; ``extra`` objects are
            joined key by key.
        messages: the final messages, system prompt included.
        profile: says whether ``stream_options.include_usage`` is added to a streamed request that
            does not set ``stream_options`` itself.

    Raises:
        ConfigError: an ``extra`` field has the name of a known one, or parameters that passed
            alone do not go together.
    """
    fields = _fields(setting, prompt.params, profile, prompt.prompt_id)
    return canonical_json({**fields, "messages": messages})


class Frame(NamedTuple):
    """What lies around the messages in the bodies of a setting."""

    before: bytes
    behind: bytes

    def body(self, messages: list[dict[str, Any]]) -> bytes:
        """What :func:`build_body` makes for a prompt without parameters of its own."""
        return self.before + canonical_json(messages) + self.behind


# Where the messages go: no JSON text holds this byte, as control characters are escaped.
_GAP = b"\0"


def frame_of(setting: Setting, profile: Profile) -> Frame:
    """All of a setting's bodies that does not depend on the prompt.

    Raises:
        ConfigError: as :func:`build_body`.
    """
    fields = _fields(setting, {}, profile, "")
    before, _, behind = canonical_json({**fields, "messages": msgspec.Raw(_GAP)}).partition(_GAP)
    return Frame(before, behind)


def _fields(
    setting: Setting, over: dict[str, Any], profile: Profile, prompt_id: str
) -> dict[str, Any]:
    """The body without its messages; ``over`` holds the parameters of a prompt, if it has any."""
    body = _overlaid(setting.params, over)
    extra: dict[str, Any] = body.pop("extra", {})
    if body.get("stream") is True and profile.stream_usage and "stream_options" not in body:
        body["stream_options"] = {"include_usage": True}
    where = "params" if not over else f"params (with those of prompt {prompt_id})"
    try:
        check_together(body, where)
    except ShapeError as error:
        raise ConfigError(f"`{error.path}` {error.problem}", hint=error.hint) from None
    for key, value in extra.items():
        if key in RESERVED or key in known_params():
            raise ConfigError(f"`params.extra.{key}` would overwrite a known field")
        body[key] = value
    body["model"] = setting.model
    return body


def _overlaid(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Parameters with overrides laid over them, without nulls; always a new dictionary."""
    extra: dict[str, Any] = {**(under.get("extra") or {}), **(over.get("extra") or {})}
    joined: dict[str, Any] = {**under, **over}
    joined["extra"] = {key: value for key, value in extra.items() if value is not None}
    return {key: value for key, value in joined.items() if value is not None}
