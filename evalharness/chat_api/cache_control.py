"""``cache_control``: where a provider is to cut what it keeps of a prompt.

Content parts and tools may have it, in the form of the Messages API; protocols that cannot say it
refuse it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from evalharness.chat_api.json_checks import ShapeError, object_with, one_of
from evalharness.chat_api.lenient_json import as_list
from evalharness.chat_api.protocol import ApiProtocol

KEY = "cache_control"
check_cache_control = object_with({"type": one_of("ephemeral")}, {"ttl": one_of("5m", "1h")})


def refuse_in_messages(messages: Iterable[Mapping[str, Any]], protocol: ApiProtocol) -> None:
    """Refuse a content part with it where the protocol cannot say it."""
    if protocol.has_cache_control:
        return
    for index, message in enumerate(messages):
        _refuse(as_list(message.get("content")), f"messages[{index}].content", protocol)


def refuse_in_tools(tools: Any, path: str, protocol: ApiProtocol) -> None:
    """Refuse a tool with it where the protocol cannot say it."""
    if tools and not protocol.has_cache_control:
        _refuse(tools, path, protocol)


def _refuse(items: Iterable[Mapping[str, Any]], path: str, protocol: ApiProtocol) -> None:
    for index, item in enumerate(items):
        if KEY in item:
            raise ShapeError(
                f"{path}[{index}].{KEY}",
                f"cannot be sent: {protocol.title} has no {KEY}",
                "leave it out, or use provider.protocol=messages where the provider has it",
            )
