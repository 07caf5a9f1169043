"""What to type when a server refuses a parameter, read from its own words.

Servers say it in many ways; what they have in common is the name of a parameter that was sent and
a phrase that refuses it. The server's message stays, the remedy stands behind it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from evalharness.chat_api.params import RESERVED, remedy
from evalharness.parameters import BY_NAME
from evalharness.records import ErrorKind, Reply

_STATUSES = frozenset({400, 422})
_REFUSES = re.compile(
    r"unsupported|not supported|(?:does not|doesn't|do not|don't) support|unrecogni[sz]ed|"
    r"unknown (?:parameter|name|field|argument|key)|extra inputs|extra_forbidden|"
    r"not (?:allowed|permitted|enabled|accepted)|deprecated|can(?:not| ?not|'t) be used|"
    r"only the default|cannot find field|is not a valid (?:parameter|field|argument)",
    re.IGNORECASE,
)
_INSTEAD = re.compile(
    r"\b(?:use|using|favou?r of|replaced by|try)\b[^a-z_]{0,4}(?:the |parameter )*"
    r"['\"`]?(?P<name>[a-z_]+)",
    re.IGNORECASE,
)
# A name that is a common word, too, must be quoted or announced.
_ANNOUNCED = r"(?:parameter|argument|property|field|name|supplied|body)[s:.]*\s*"


def with_remedy(
    reply: Reply,
    body: bytes,
    names: Mapping[str, str] = MappingProxyType({}),
    lacks: frozenset[str] = frozenset(),
) -> Reply:
    """The reply, with what to type added to a message that refuses a parameter of the body.

    For ``names`` and ``lacks`` see :func:`find_remedy`.
    """
    refused = reply.http_status in _STATUSES or reply.error_kind is ErrorKind.BAD_REQUEST
    if not refused or not reply.error_message:
        return reply
    advice = find_remedy(reply.error_message, msgspec.json.decode(body), names, lacks)
    if advice is None:
        return reply
    return msgspec.structs.replace(reply, error_message=f"{reply.error_message} → {advice}")


def with_other_protocol(reply: Reply, title: str) -> Reply:
    """The reply to an address that a server does not know, with what may be the reason.

    Where its message is of a model, it knows the address. ``title`` is what the API is called.
    """
    message = reply.error_message
    if not message or "model" in message.lower():
        return reply
    advice = (
        f"the server may not have {title}: provider.protocol=chat asks for chat completions, and "
        "provider.base_url is what the path is appended to"
    )
    return msgspec.structs.replace(reply, error_message=f"{message} → {advice}")


def find_remedy(
    message: str,
    sent: dict[str, Any],
    names: Mapping[str, str] = MappingProxyType({}),
    lacks: frozenset[str] = frozenset(),
) -> str | None:
    """What to type instead; None where the message refuses no parameter that was sent.

    Args:
        message: the server's words.
        sent: the request's body.
        names: fields of it that a parameter of another name becomes, by path; empty for none.
        lacks: parameters that are in a body from ``params.extra`` alone.
    """
    if _REFUSES.search(message) is None:
        return None
    nested = [path for path in names if "." in path and path.partition(".")[0] in sent]
    places = [
        (match.start(), name)
        for name in (*sent, *nested)
        if name not in RESERVED
        and names.get(name) != ""
        and (match := _mention(name, message)) is not None
    ]
    if not places:
        return None
    name = min(places)[1]
    name = names.get(name, name)
    if name == "stream_options":
        return "provider.profile.stream_usage=false sends none, and then no usage is streamed"
    if name not in BY_NAME or name in lacks:
        return f"leave it out: params.extra.{name}=null"
    match = _INSTEAD.search(message)
    instead = match["name"] if match else None
    return remedy(name, instead if instead in BY_NAME and instead != name else None)


def _mention(name: str, message: str) -> re.Match[str] | None:
    """Where a message names a parameter, in its own spelling or in camel case."""
    first, *others = name.split("_")
    spellings = "|".join({re.escape(name), first + "".join(word.title() for word in others)})
    if others:
        return re.search(rf"(?<![\w]){'(?:' + spellings + ')'}(?![\w])", message)
    spelled = rf"['\"`]{name}['\"`]|{_ANNOUNCED}{name}\b|(?:^|: ){name}: "
    return re.search(spelled, message, re.IGNORECASE)
