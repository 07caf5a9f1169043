"""From what a function returned to a reply; fields that cannot be are refused."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

import msgspec

from evalharness.finish_reasons import FinishKind, finish_kind
from evalharness.providers.python.call import CallReply
from evalharness.records import Outcome, Reply, Status, Usage


class UnusableResultError(Exception):
    """A function returned something that is no reply; the message says what."""


def read_result(result: object) -> CallReply:
    """A text or a reply, as a reply.

    Raises:
        UnusableResultError: it is neither.
    """
    if isinstance(result, str):
        return CallReply(text=str(result))
    if isinstance(result, CallReply):
        return result
    raise UnusableResultError(f"returned {describe(result)}, not a text or an evalharness.Reply")


def describe(value: object) -> str:
    """What a value is, in words."""
    if value is None:
        return "None"
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def build_reply(
    reply: CallReply, sent_at_ns: int, latency_s: float, *, keep_chunk_times: bool
) -> Reply:
    """The record of a result.

    Raises:
        UnusableResultError: a field holds something that it cannot hold.
    """
    text = reply.text
    times: list[float] = []
    if reply.chunks is not None:
        times = [_seconds(seconds) for seconds, _ in reply.chunks]
        joined = "".join(piece for _, piece in reply.chunks)
        text = joined if text is None else text
    for name in ("text", "reasoning", "finish_reason", "refusal", "model", "system_fingerprint"):
        value = getattr(reply, name)
        if value is not None and not isinstance(value, str):
            raise UnusableResultError(f"`{name}` of the reply is {describe(value)}, not a text")
    usage = _usage(reply)
    clean = None if text is None else text.encode("utf-8", "replace").decode()
    return Reply(
        outcome=Outcome.DELIVERED,
        status=_status(reply, clean),
        text=clean,
        text_sanitized=clean != text,
        reasoning=reply.reasoning,
        refusal=reply.refusal,
        finish_reason=reply.finish_reason,
        tool_calls_json=_json("tool_calls", reply.tool_calls),
        response_model=reply.model,
        system_fingerprint=reply.system_fingerprint,
        usage=usage,
        billed_usd=_money(reply.cost_usd),
        sent_at_ns=sent_at_ns,
        ttft_s=times[0] if times else None,
        ttfo_s=times[0] if times else None,
        last_content_s=times[-1] if times else None,
        chunk_times_s=times if times and keep_chunk_times else None,
        latency_s=latency_s,
        response_json=_json("raw", reply.raw),
    )


def _status(reply: CallReply, text: str | None) -> Status:
    kind = finish_kind(reply.finish_reason)
    if reply.refusal or kind is FinishKind.FILTERED:
        return Status.REFUSED
    if kind is FinishKind.CUT:
        return Status.TRUNCATED
    return Status.OK if text or reply.tool_calls else Status.EMPTY


def _usage(reply: CallReply) -> Usage:
    counts: dict[str, int | None] = {}
    for name in ("prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens"):
        value = getattr(reply, name)
        if value is not None and (
            not isinstance(value, int) or isinstance(value, bool) or value < 0
        ):
            raise UnusableResultError(f"`{name}` of the reply is {value!r:.60}, not a count")
        counts[name] = value
    return Usage(**counts)


def _money(value: object) -> Decimal | None:
    if value is None:
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        raise UnusableResultError(f"`cost_usd` of the reply is {value!r:.60}") from None
    if not amount.is_finite() or amount < 0:
        raise UnusableResultError(f"`cost_usd` of the reply is {value!r:.60}")
    return amount


def _seconds(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 1e9:
        raise UnusableResultError(f"`chunks` of the reply has the time {value!r:.60}")
    return float(value)


def _json(name: str, value: object) -> str | None:
    if value is None:
        return None
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, ValueError, RecursionError) as error:
        raise UnusableResultError(f"`{name}` of the reply is no JSON: {error}") from None
