"""Estimates of the tokens a request will use, learned from earlier replies."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque

from evalharness.records import Outcome, Reply, Usage

# Before anything is known: English has about 4 characters a token, Chinese fewer than 2.
_TOKENS_PER_CHAR = 0.5
_PROMPT_OVERHEAD = 8  # role markers and separators of a short chat
_OUTPUT_TOKENS = 512
_HISTORY_SIZE = 128


class _TaskHistory:
    """The last outputs of one task, in order of arrival and in order of size."""

    __slots__ = ("chars", "prompt_tokens", "recent", "ranked")  # noqa: RUF023

    def __init__(self) -> None:
        self.recent: deque[int] = deque()
        self.ranked: list[int] = []
        self.chars = 0.0
        self.prompt_tokens = 0.0

    def add_output(self, tokens: int) -> None:
        if len(self.recent) == _HISTORY_SIZE:
            del self.ranked[bisect_left(self.ranked, self.recent.popleft())]
        self.recent.append(tokens)
        insort(self.ranked, tokens)

    def add_prompt(self, chars: int, tokens: int) -> None:
        # Old observations fade with a memory of about 128 requests, so the ratio can follow.
        fade = 1.0 - 1.0 / _HISTORY_SIZE
        self.chars = self.chars * fade + chars
        self.prompt_tokens = self.prompt_tokens * fade + tokens


class TokenEstimator:
    """Token estimates for a task (any name: a setting's id, say) from its recorded usage.

    Output is the 90th percentile of the last 128 outputs, never above ``max_tokens``. Prompts are
    estimated by the tokens a character cost so far. Memory is constant per task; unknown usage
    teaches nothing.
    """

    def __init__(self) -> None:
        self._tasks: dict[str, _TaskHistory] = {}

    def output(self, task: str, max_tokens: int | None = None) -> int:
        """Estimated completion tokens; ``max_tokens`` (else 512) until the first reply."""
        history = self._tasks.get(task)
        if history is None or not history.ranked:
            return max_tokens if max_tokens is not None else _OUTPUT_TOKENS
        rank = math.ceil(0.9 * len(history.ranked)) - 1
        estimate = history.ranked[rank]
        return estimate if max_tokens is None else min(estimate, max_tokens)

    def prompt(self, task: str, chars: int) -> int:
        """Estimated prompt tokens of a request whose messages hold ``chars`` characters."""
        history = self._tasks.get(task)
        if history is None or history.chars <= 0:
            return math.ceil(chars * _TOKENS_PER_CHAR) + _PROMPT_OVERHEAD
        return math.ceil(chars * history.prompt_tokens / history.chars)

    def total(self, task: str, chars: int, max_tokens: int | None = None) -> int:
        """What to reserve from the token limiter: prompt and output together."""
        return self.prompt(task, chars) + self.output(task, max_tokens)

    def observe(self, task: str, chars: int, usage: Usage) -> None:
        """Learn from the usage of one reply to a request of ``chars`` characters."""
        if usage.completion_tokens is None and usage.prompt_tokens is None:
            return
        history = self._tasks.setdefault(task, _TaskHistory())
        if usage.completion_tokens is not None:
            history.add_output(usage.completion_tokens)
        if usage.prompt_tokens is not None and chars > 0:
            history.add_prompt(chars, usage.prompt_tokens)


def tokens_used(reply: Reply) -> int | None:
    """What an attempt counts against a token limit: None is unknown, 0 was never sent."""
    if reply.outcome is Outcome.NOT_SENT:
        return 0
    usage = reply.usage
    if usage.total_tokens is not None:
        return usage.total_tokens
    if usage.prompt_tokens is None or usage.completion_tokens is None:
        return None
    return usage.prompt_tokens + usage.completion_tokens
