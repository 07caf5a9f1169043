"""Token counts as servers report them: where the usage stands, and how its counts are spelled.

The counts are kept as they were reported; which of them include which is decided where they are
priced (:mod:`evalharness.pricing.usage_rules`), since servers differ in that.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from evalharness.chat_api.lenient_json import as_count, as_list, as_object
from evalharness.records import Usage

_Path = tuple[str, ...]

# Where each count stands, the documented place first. Of `cached_tokens`, `cache_write_tokens` and
# `reasoning_tokens` the largest counts: gateways fill the places that they do not know with 0.
_PROMPT: tuple[_Path, ...] = (("prompt_tokens",), ("input_tokens",))
_COMPLETION: tuple[_Path, ...] = (("completion_tokens",), ("output_tokens",))
_PROMPT_DETAILS = ("prompt_tokens_details", "input_tokens_details")
_COMPLETION_DETAILS = ("completion_tokens_details", "output_tokens_details")
_CACHE_READS: tuple[_Path, ...] = (
    *((details, "cached_tokens") for details in _PROMPT_DETAILS),
    ("cached_tokens",), ("prompt_cache_hit_tokens",), ("cache_read_input_tokens",),
)  # fmt: skip
_CACHE_WRITES: tuple[_Path, ...] = (
    *(
        (details, name)
        for details in _PROMPT_DETAILS
        for name in ("cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens")
    ),
    ("cache_write_tokens",), ("cache_creation_input_tokens",),
)  # fmt: skip
# Cache writes by how long they are kept, which add up.
_AN_HOUR = "ephemeral_1h_input_tokens"
_CACHE_WRITES_BY_LIFE = ("ephemeral_5m_input_tokens", _AN_HOUR)
_REASONING: tuple[_Path, ...] = (
    *(
        (details, name)
        for details in _COMPLETION_DETAILS
        for name in ("reasoning_tokens", "thinking_tokens")
    ),
    ("reasoning_tokens",),
)  # fmt: skip


def find_usage(top: dict[str, Any]) -> dict[str, Any]:
    """The usage of a completion: at the top, in a choice, or in ``x_groq``; empty without one.

    Where several choices bring usages that differ, what they add up to is not known, and none is
    taken.
    """
    usage = as_object(top.get("usage"))
    if has_tokens(usage):
        return usage
    choices = [as_object(choice) for choice in as_list(top.get("choices"))]
    in_choices = [as_object(choice.get("usage")) for choice in choices]
    in_choices = [part for part in in_choices if has_tokens(part)]
    if in_choices:
        first = in_choices[0]
        return first if all(other == first for other in in_choices) else usage
    of_groq = as_object(as_object(top.get("x_groq")).get("usage"))
    return of_groq if has_tokens(of_groq) else usage


def read_usage(usage: dict[str, Any]) -> Usage:
    """The counts of a usage; null where it does not say, or says what is no count."""
    prompt, completion = _first(usage, _PROMPT), _first(usage, _COMPLETION)
    total = as_count(usage.get("total_tokens"))
    cached, written = _largest(usage, _CACHE_READS), _cache_writes(usage)
    if _counts_cache_apart(usage) and prompt is not None:
        prompt += (cached or 0) + (written or 0)
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=total,
        cached_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=_largest(usage, _REASONING),
        audio_prompt_tokens=_first(usage, [(d, "audio_tokens") for d in _PROMPT_DETAILS]),
        audio_completion_tokens=_first(usage, [(d, "audio_tokens") for d in _COMPLETION_DETAILS]),
        accepted_prediction_tokens=_completion_detail(usage, "accepted_prediction_tokens"),
        rejected_prediction_tokens=_completion_detail(usage, "rejected_prediction_tokens"),
        cache_write_1h_tokens=max(_written_for(usage, _AN_HOUR), default=None),
    )


def _counts_cache_apart(usage: dict[str, Any]) -> bool:
    """Whether this is Anthropic's own form, whose ``input_tokens`` exclude those of the cache.

    A total would say itself what it includes.
    """
    return (
        usage.get("prompt_tokens") is None
        and usage.get("total_tokens") is None
        and ("cache_read_input_tokens" in usage or "cache_creation_input_tokens" in usage)
    )


def has_tokens(usage: dict[str, Any]) -> bool:
    """Whether it counts any token; a usage of zeros elsewhere hides none that does."""
    return bool(_first(usage, _PROMPT) or _first(usage, _COMPLETION))


def merge_usage(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """A usage that comes in parts: the last of a part counts, but zeros replace no counts."""
    if has_tokens(old) and not has_tokens(new) and not as_count(new.get("total_tokens")):
        return {**new, **old}
    return old | {key: value for key, value in new.items() if value is not None}


def _cache_writes(usage: dict[str, Any]) -> int | None:
    by_life = [count for name in _CACHE_WRITES_BY_LIFE for count in _written_for(usage, name)]
    counts = [*_counts(usage, _CACHE_WRITES), *([sum(by_life)] if by_life else [])]
    return max(counts, default=None)


def _written_for(usage: dict[str, Any], name: str) -> list[int]:
    """The counts of tokens that were written to a cache for one length of time."""
    places = [usage, *(as_object(usage.get(details)) for details in _PROMPT_DETAILS)]
    counts = [as_count(as_object(place.get("cache_creation")).get(name)) for place in places]
    return [count for count in counts if count is not None]


def _completion_detail(usage: dict[str, Any], name: str) -> int | None:
    return _first(usage, [(details, name) for details in _COMPLETION_DETAILS])


def _first(usage: dict[str, Any], paths: tuple[_Path, ...] | list[_Path]) -> int | None:
    return next(_counts(usage, paths), None)


def _largest(usage: dict[str, Any], paths: tuple[_Path, ...]) -> int | None:
    return max(_counts(usage, paths), default=None)


def _counts(usage: dict[str, Any], paths: tuple[_Path, ...] | list[_Path]) -> Iterator[int]:
    for path in paths:
        place = usage
        for key in path[:-1]:
            place = as_object(place.get(key))
        count = as_count(place.get(path[-1]))
        if count is not None:
            yield count
