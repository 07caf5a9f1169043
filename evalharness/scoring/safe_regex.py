"""Regular expressions written by users, run over texts written by models, without hanging.

A pattern such as ``(a+)+$`` takes exponential time on some texts. The ``regex`` package stops
a search after a given time, which the standard ``re`` cannot, and otherwise reads the same
patterns. Time is the processor time of this process, so a busy machine changes no score.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

if TYPE_CHECKING:
    import regex

Seconds = Annotated[float, Meta(gt=0, le=60)]
DEFAULT_TIMEOUT_S = 1.0
MAX_PATTERN_CHARS = 10_000
# The batch scorer compares reasons with it, to give up on a pattern that is too slow.
TIMED_OUT = "the pattern took too long on this text (see `timeout_s`)"
MAX_TIMEOUTS = 10  # texts on which a pattern took too long before it is tried no more
REASON_GAVE_UP = f"not tried: the pattern took too long on {MAX_TIMEOUTS} other texts"


class PatternTimeoutError(Exception):
    """A search was stopped after its time limit."""


@lru_cache(maxsize=256)
def compile_pattern(pattern: str, *, ignore_case: bool = False) -> regex.Pattern[str]:
    """Compile a pattern.

    Raises:
        ValueError: not a regular expression, or longer than :data:`MAX_PATTERN_CHARS`.

    """
    import regex

    if len(pattern) > MAX_PATTERN_CHARS:
        raise ValueError(f"longer than {MAX_PATTERN_CHARS} characters")
    try:
        return regex.compile(pattern, regex.IGNORECASE if ignore_case else 0)
    except (regex.error, RecursionError, OverflowError) as error:
        raise ValueError(f"not a regular expression: {error} in {pattern!r}") from None


def search(
    pattern: regex.Pattern[str],
    text: str,
    *,
    mode: Literal["search", "fullmatch"] = "search",
    which: Literal["first", "last"] = "first",
    timeout_s: float = DEFAULT_TIMEOUT_S,
) -> regex.Match[str] | None:
    """Find the first or last match in the text, or None; an empty one is last only if all are.

    Raises:
        PatternTimeoutError: the time limit passed first.

    """
    try:
        if mode == "fullmatch":
            return pattern.fullmatch(text, timeout=timeout_s)
        if which == "first":
            return pattern.search(text, timeout=timeout_s)
        last = None
        for match in pattern.finditer(text, timeout=timeout_s):
            # After `.*` has matched all, it matches the empty end.
            if last is None or match[0]:
                last = match
        return last
    except TimeoutError:
        raise PatternTimeoutError from None
