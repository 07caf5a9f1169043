"""The protocols that the emulator speaks: how each writes requests, answers, streams and errors."""

from __future__ import annotations

from evalharness.emulator.dialects.chat.chat_dialect import ChatDialect
from evalharness.emulator.dialects.dialect import Dialect
from evalharness.emulator.dialects.messages.messages_dialect import MessagesDialect
from evalharness.emulator.dialects.responses.responses_dialect import ResponsesDialect
from evalharness.emulator.options import EmulatorOptions


def dialects_by_path(options: EmulatorOptions) -> dict[str, Dialect]:
    """Every protocol, by the path of its endpoint."""
    dialects = (ChatDialect(options), ResponsesDialect(options), MessagesDialect(options))
    return {dialect.path: dialect for dialect in dialects}
