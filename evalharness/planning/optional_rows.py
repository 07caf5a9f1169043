"""Rows of a dataset that are sent only where a provider can be sent them.

Such a row has ``leave_out_if_refused: true``. It asks about a parameter; where the provider's
protocol or profile has no such parameter, that is the answer, and the others are sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from msgspec import structs

from evalharness.chat_api.params import check_params
from evalharness.chat_api.protocols import get_protocol
from evalharness.config.models import Profile, ProtocolName
from evalharness.errors import ConfigError
from evalharness.parameters import merge_params
from evalharness.records import Prompt, Setting

_EXTRA = "extra."


class LeftOutRow(NamedTuple):
    """A row that is not sent, and why."""

    prompt: Prompt
    reason: str


def is_optional(prompt: Prompt) -> bool:
    """Whether a row may be left out."""
    return prompt.fields.get("leave_out_if_refused") is True


def split_optional_rows(
    prompts: Sequence[Prompt],
    settings: Sequence[Setting],
    profiles: Mapping[str, Profile],
    protocols: Mapping[str, ProtocolName],
) -> tuple[list[Prompt], list[LeftOutRow]]:
    """The rows that every setting can send, and the optional ones that some setting cannot.

    Of an optional row, a parameter that the profile has under another name gets that name.

    Raises:
        ConfigError: no row is left.
    """
    sent: list[Prompt] = []
    left_out: list[LeftOutRow] = []
    for prompt in prompts:
        row: Prompt | LeftOutRow = prompt
        if is_optional(prompt):
            row = optional_row(prompt, settings, profiles, protocols)
        if isinstance(row, LeftOutRow):
            left_out.append(row)
        else:
            sent.append(row)
    if left_out and not sent:
        raise ConfigError(f"no row of the dataset can be sent: {left_out[0].reason}")
    return sent, left_out


def optional_row(
    prompt: Prompt,
    settings: Sequence[Setting],
    profiles: Mapping[str, Profile],
    protocols: Mapping[str, ProtocolName],
) -> Prompt | LeftOutRow:
    """An optional row as it is sent, or why it is not."""
    for setting in settings:
        profile = profiles[setting.provider].for_model(setting.model)
        prompt = structs.replace(prompt, params=_renamed(prompt.params, profile))
    for setting in settings:
        try:
            check_params(
                merge_params(setting.params, prompt.params),
                profiles[setting.provider],
                protocol=get_protocol(protocols.get(setting.provider, "chat")),
                model=setting.model,
            )
        except ConfigError as error:
            return LeftOutRow(prompt, error.message.replace("`params.", "`"))
    return prompt


def _renamed(params: Mapping[str, Any], profile: Profile) -> dict[str, Any]:
    """The parameters, under the names that the profile has for them."""
    renamed: dict[str, Any] = {}
    for name, value in params.items():
        instead = (profile.refuses or {}).get(name)
        if value is None:  # it takes a parameter of the setting away
            renamed.setdefault(name, None)
        elif instead is None:
            renamed[name] = value
        elif instead.startswith(_EXTRA):
            extra: dict[str, Any] = renamed.setdefault("extra", {})
            extra[instead.removeprefix(_EXTRA)] = value
        else:
            renamed[instead] = value
    return renamed


def left_out_lines(rows: Sequence[LeftOutRow]) -> list[str]:
    """What is left out, a line for each reason."""
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.reason] = counts.get(row.reason, 0) + 1
    return [f"left out, {count} of the rows: {reason}" for reason, count in counts.items()]
