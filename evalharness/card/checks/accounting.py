"""Is the usage plausible, and do headers say the rate limits?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from evalharness.card.answers import Answer, CardAnswers
from evalharness.card.result import (
    CardVerdict,
    CheckFinding,
    counted,
    share_figure,
    share_verdict,
    unmeasurable,
)

#: UTF-8 bytes of text that one token stands for, in any language and tokenizer.
BYTES_PER_TOKEN = (1.0, 12.0)
#: Shorter texts say nothing about it.
_LONG_ENOUGH = 40
_RATE_LIMITS = ("x-ratelimit-", "ratelimit-", "anthropic-ratelimit-")
_SHOWN = 4


def usage(answers: CardAnswers) -> CheckFinding:
    """Are prompt tokens the same in repeats, sums right, completion tokens fit for the text?"""
    topics = answers["plain"].by_topic()
    came = share_figure(
        "answers have counts of tokens",
        {t: [_is_counted(a) for a in given] for t, given in topics.items()},
    )
    if came is None:
        return unmeasurable("there are no answers")
    if not came.count:
        return CheckFinding(CardVerdict.NO, counted(came), [came])
    held = {t: _conditions(given) for t, given in topics.items()}
    names = (
        "have the prompt tokens of the other repeats",
        "have a total that is the sum",
        "have completion tokens that fit the text",
    )
    figures = [came]
    for index, name in enumerate(names):
        figure = share_figure(
            name, {t: [c[index] for c in rows if c is not None] for t, rows in held.items()}
        )
        if figure is not None:
            figures.append(figure)
    whole = share_figure(
        "all of it",
        {t: [c is not None and all(c) for c in rows] for t, rows in held.items()},
    )
    assert whole is not None
    return CheckFinding(share_verdict(whole), "; ".join(map(counted, figures)), figures)


def _is_counted(answer: Answer) -> bool:
    return answer.usage.prompt_tokens is not None and answer.usage.completion_tokens is not None


def _conditions(answers: Sequence[Answer]) -> list[tuple[bool, bool, bool] | None]:
    """What holds of each repeat of one prompt; None of one without counts."""
    prompts = Counter(a.usage.prompt_tokens for a in answers if _is_counted(a))
    usual = prompts.most_common(1)[0][0] if prompts else None
    return [
        (a.usage.prompt_tokens == usual, _is_sum(a), _fits_text(a)) if _is_counted(a) else None
        for a in answers
    ]


def _is_sum(answer: Answer) -> bool:
    """A server may count reasoning outside of the completion; none needs to send a total."""
    counts = answer.usage
    if counts.total_tokens is None:
        return True
    rest = counts.total_tokens - (counts.prompt_tokens or 0) - (counts.completion_tokens or 0)
    return rest in (0, counts.reasoning_tokens)


def _fits_text(answer: Answer) -> bool:
    size = len((answer.text or "").encode())
    if size < _LONG_ENOUGH:
        return True
    tokens = answer.usage.completion_tokens or 0
    reasoning = answer.usage.reasoning_tokens or 0
    if reasoning <= tokens and tokens + reasoning + (answer.usage.prompt_tokens or 0) != (
        answer.usage.total_tokens
    ):
        tokens -= reasoning
    if answer.reasoned and not reasoning:
        return tokens * BYTES_PER_TOKEN[1] >= size
    return BYTES_PER_TOKEN[0] * tokens <= size <= BYTES_PER_TOKEN[1] * tokens


def rate_limit_headers(answers: CardAnswers) -> CheckFinding:
    """Which headers about rate limits come?"""
    names: Counter[str] = Counter()
    held: dict[str, list[bool]] = {}
    for arm in answers:
        for answer in arm.answers:
            limit_names = [name for name in answer.headers if name.startswith(_RATE_LIMITS)]
            names.update(limit_names)
            held.setdefault(answer.topic, []).append(bool(limit_names))
    figure = share_figure("answers have headers about rate limits", held)
    if figure is None:
        return unmeasurable("there are no answers")
    shown = [f"`{name}`" for name, _ in names.most_common(_SHOWN)]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    words = counted(figure) + (f": {', '.join(shown)}{more}" if names else "")
    return CheckFinding(share_verdict(figure), words, [figure])
