"""The protocols, by the name that ``provider.protocol`` has."""

from __future__ import annotations

from evalharness.chat_api.protocol import ApiProtocol
from evalharness.chat_api.protocols.chat_completions import ChatCompletions
from evalharness.chat_api.protocols.messages.protocol import MessagesProtocol
from evalharness.chat_api.protocols.responses.protocol import ResponsesProtocol
from evalharness.config.models import ProtocolName

_ALL: tuple[ApiProtocol, ...] = (ChatCompletions(), ResponsesProtocol(), MessagesProtocol())
_PROTOCOLS = {protocol.name: protocol for protocol in _ALL}


def get_protocol(name: ProtocolName) -> ApiProtocol:
    """The protocol of a name."""
    return _PROTOCOLS[name]
