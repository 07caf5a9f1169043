"""What one API of chats has of its own: its address, its bodies, its answers and streams.

Everything else is shared: parameters have the names of :mod:`evalharness.parameters`, answers are
read as chat completions (:mod:`.response_fields`), errors by one table. The three protocols are in
:mod:`evalharness.chat_api.protocols`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Protocol

from evalharness.config.models import Profile, ProtocolName


class StreamMerger(Protocol):
    """The events of one stream, merged into the body that an unstreamed answer would have.

    Attributes:
        times_ns: arrival of every event with content.
        first_ns: of the first content, reasoning included; None before.
        first_output_ns: of the first content besides reasoning.
        first_reasoning_ns: of the first reasoning.
        last_reasoning_ns: of the last.
    """

    times_ns: list[int]
    first_ns: int | None
    first_output_ns: int | None
    first_reasoning_ns: int | None
    last_reasoning_ns: int | None

    @property
    def finished(self) -> bool:
        """Whether the answer is at its end."""
        ...

    @property
    def is_counted(self) -> bool:
        """Whether its usage has come."""
        ...

    def add(self, chunk: dict[str, Any], at_ns: int) -> bool:
        """Merge one event that arrived at ``at_ns``; whether it has content that counts."""
        ...

    def add_texts(self, texts: list[str], times_ns: list[int]) -> None:
        """Merge chunks that differ from the last one only in their texts (chat completions)."""
        ...

    def completion(self) -> dict[str, Any] | None:
        """The merged body in the form of this protocol; None when nothing came."""
        ...


class ApiProtocol(ABC):
    """One protocol. It has no state: there is one object of each.

    Attributes:
        name: as in ``provider.protocol``.
        title: what messages call it.
        path: what is appended to the base URL.
        headers: sent with every request, unless the configuration sets them.
        defaults: fields of every body, unless ``params.extra`` sets them.
        parameter_names: fields of its bodies that a parameter of another name becomes; one in an
            object by its path (``text.format``); empty for one that is made from several, or from
            the messages.
        shared_fields: objects and lists of its bodies to which ``params.extra`` may add.
        lacks: parameters that its API has no field for. ``params.extra`` may hold them, for servers
            that know them all the same.
        last_event: what ends a stream, in words.
        one_list: whether a body holds the messages as they are, in one place.
        is_chat: whether its answers are chat completions as they are sent.
        has_cache_control: whether content parts and tools may have ``cache_control``.
    """

    name: ProtocolName
    title: str
    path: str
    headers: Mapping[str, str] = MappingProxyType({})
    defaults: Mapping[str, Any] = MappingProxyType({})
    parameter_names: Mapping[str, str] = MappingProxyType({})
    shared_fields: frozenset[str] = frozenset()
    lacks: frozenset[str] = frozenset()
    last_event = "a finish_reason"
    one_list = False
    is_chat = False
    has_cache_control = False

    @abstractmethod
    def check(self, params: Mapping[str, Any], where: str, *, partial: bool) -> None:
        """Refuse what this protocol cannot say; the parameters themselves are valid.

        Args:
            params: by name, without nulls.
            where: how they are called in messages, e.g. ``params`` or ``sweep``.
            partial: they belong to a prompt, and are merged with those of a setting.

        Raises:
            ShapeError: names the parameter, why, and what to type.
        """

    @abstractmethod
    def check_messages(self, messages: list[dict[str, Any]]) -> None:
        """Refuse valid messages that this protocol cannot say.

        Raises:
            ShapeError: names the message by its index and key.
        """

    @abstractmethod
    def fields(self, params: dict[str, Any], profile: Profile) -> dict[str, Any]:
        """The body without messages, model, defaults and ``extra``, from checked parameters."""

    @abstractmethod
    def conversation(self, messages: list[dict[str, Any]]) -> dict[str, Any]:
        """The fields of a body that hold the messages."""

    @abstractmethod
    def merger(self, choices: int | None) -> StreamMerger:
        """A new merger for a stream of so many choices; None: unknown."""

    @abstractmethod
    def as_completion(self, top: dict[str, Any]) -> dict[str, Any]:
        """An answer of this protocol as a chat completion, errors as ``error``."""

    @abstractmethod
    def stream_error(self, event: dict[str, Any]) -> Any | None:
        """The error in an event that the shared rules do not see as one; None where it is none.

        Such an event is merged all the same: it may bring ids and usage.
        """
