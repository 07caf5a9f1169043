"""What a request costs, and why its cost is unknown: one formula for a request or many.

Counts, rates and flags are whole numbers or booleans of one request, or arrays with one entry a
request. Costs are whole pico-dollars.
"""

from __future__ import annotations

from typing import Any, Generic, NamedTuple, TypeVar

MAX_TOKENS = 10**8  # a larger count is taken for a mistake

#: Reasons why the cost of a trial is unknown, in the order in which they are looked for.
NO_PRICE = "no_price"  # of the model, or of its audio or hour-long cache-write tokens
COUNT_MISSING = "count_missing"  # a count that the price needs was not reported
# Counts that cannot be, such as more cached than prompt, or that do not add up to their total.
USAGE_CONTRADICTS = "usage_contradicts"
REASONS = (NO_PRICE, COUNT_MISSING, USAGE_CONTRADICTS)

#: In place of a rate that is not known.
NO_RATE = -1

_T = TypeVar("_T")


class TokenKinds(NamedTuple, Generic[_T]):
    """A value for each kind of token.

    Prompt tokens include those read from and written to a cache, completion tokens reasoning.
    Those written to a cache include those written for an hour.
    """

    prompt: _T
    cached: _T
    cache_write: _T
    completion: _T
    reasoning: _T
    cache_write_1h: _T


def request_pico(counts: TokenKinds[Any], rates: TokenKinds[Any], fee: int) -> Any:
    """The exact cost in pico-dollars.

    ``(prompt − cached − written)·p + cached·c + (written − hour)·w + hour·h
    + (completion − reasoning)·q + reasoning·r + fee``

    Args:
        counts: tokens, all known, with a rate (:func:`is_rate_missing`), within the bounds of
            :func:`is_contradictory`.
        rates: pico-dollars per token, of the tier that applies.
        fee: pico-dollars per request.
    """
    return (
        (counts.prompt - counts.cached - counts.cache_write) * rates.prompt
        + counts.cached * rates.cached
        + (counts.cache_write - counts.cache_write_1h) * rates.cache_write
        + counts.cache_write_1h * rates.cache_write_1h
        + (counts.completion - counts.reasoning) * rates.completion
        + counts.reasoning * rates.reasoning
        + fee
    )


def is_rate_missing(counts: TokenKinds[Any], rates: TokenKinds[Any]) -> Any:
    """Whether tokens were written to a cache for an hour, and nobody knows what that costs."""
    return (counts.cache_write_1h > 0) & (rates.cache_write_1h == NO_RATE)


def is_count_missing(
    missing: TokenKinds[Any], counts: TokenKinds[Any], rates: TokenKinds[Any]
) -> Any:
    """Whether a count that the price needs is missing.

    A count of cached, written or reasoning tokens is needed only where its rate differs. Who says
    how much was read from a cache, and nothing of writing, wrote nothing. For how long something
    was written matters only where something was.
    """
    return (
        missing.prompt
        | missing.completion
        | (missing.cached & (rates.cached != rates.prompt))
        | (missing.cache_write & missing.cached & (rates.cache_write != rates.prompt))
        | (missing.reasoning & (rates.reasoning != rates.completion))
        | (
            missing.cache_write_1h
            & (counts.cache_write > 0)
            & (rates.cache_write_1h != NO_RATE)
            & (rates.cache_write_1h != rates.cache_write)
        )
    )


def is_contradictory(counts: TokenKinds[Any]) -> Any:
    """Whether counts cannot be: more cached than prompt tokens, below zero, above 10⁸."""
    return (
        (counts.cached < 0)
        | (counts.cache_write < 0)
        | (counts.cached > counts.prompt)
        | (counts.cache_write > counts.prompt - counts.cached)
        | (counts.cache_write_1h < 0)
        | (counts.cache_write_1h > counts.cache_write)
        | (counts.prompt > MAX_TOKENS)
        | (counts.reasoning < 0)
        | (counts.reasoning > counts.completion)
        | (counts.completion > MAX_TOKENS)
    )
