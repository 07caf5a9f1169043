"""Are max_tokens, stop and n honoured?"""

from __future__ import annotations

from evalharness.card.answers import Answer, Arm, CardAnswers
from evalharness.card.protocol import CHOICES, MAX_TOKENS, STOP
from evalharness.card.result import (
    CardVerdict,
    CheckFinding,
    counted,
    share_figure,
    share_verdict,
    unmeasurable,
)


def max_tokens(answers: CardAnswers) -> CheckFinding:
    """Do answers stay within max_tokens, and say that they were cut?

    Without counts of tokens, an answer of more words than the limit is above it.
    """
    topics = answers["max_tokens"].by_topic()
    within = share_figure(
        f"answers have at most {MAX_TOKENS} tokens",
        {t: [not _is_above(a) for a in given] for t, given in topics.items()},
    )
    cut = share_figure(
        "end with a finish reason that says so",
        {t: [a.is_cut for a in given] for t, given in topics.items()},
    )
    silent = sum(
        not a.is_cut and (a.usage.completion_tokens or 0) >= MAX_TOKENS
        for given in topics.values()
        for a in given
    )
    if within is None or cut is None:
        return unmeasurable("there are no answers")
    figures, words = [within, cut], f"{counted(within)}; {cut.count} {cut.name}"
    if within.count == within.n and not cut.count and not silent:
        return unmeasurable(f"no answer reaches the limit ({words})", figures)
    if within.count == within.n and not silent:
        return CheckFinding(CardVerdict.YES, words, figures)
    if within.count < within.n and not cut.count:
        return CheckFinding(CardVerdict.NO, words, figures)
    more = f"; {silent} have as many tokens as allowed or more, and no such reason"
    return CheckFinding(CardVerdict.PARTLY, words + (more if silent else ""), figures)


def _is_above(answer: Answer) -> bool:
    counted_tokens = answer.usage.completion_tokens
    if counted_tokens is not None and counted_tokens > MAX_TOKENS:
        return True
    return len((answer.text or "").split()) > MAX_TOKENS


def stop(answers: CardAnswers) -> CheckFinding:
    """Does the text end before the stop sequence, with a finish reason that is no limit?"""
    arm = answers["stop"]
    ended = share_figure(
        f"answers have no “{STOP}” and end for another reason than length",
        {
            t: [STOP not in (a.text or "") and not a.is_cut for a in given]
            for t, given in _without_cut_off_reasoning(arm).items()
        },
    )
    control = share_figure(
        f"answers without stop have a “{STOP}”",
        {t: [STOP in text for text in given] for t, given in answers["plain"].texts().items()},
    )
    if ended is None:
        return unmeasurable("every answer was cut before its first character")
    if control is None or control.count < control.n / 2:
        return unmeasurable(f"too few answers without stop have a “{STOP}”, either")
    words = f"{counted(ended)}; {counted(control)}"
    return CheckFinding(share_verdict(ended), words, [ended, control])


def _without_cut_off_reasoning(arm: Arm) -> dict[str, list[Answer]]:
    """Answers by topic, without those that a limit ended before their text began."""
    return {
        topic: [a for a in given if a.text or not a.is_cut]
        for topic, given in arm.by_topic().items()
    }


def choices(answers: CardAnswers) -> CheckFinding:
    """Do as many choices come as ``n`` asks for?"""
    whole = share_figure(
        f"answers have {CHOICES} choices",
        {t: [a.choices == CHOICES for a in given] for t, given in answers["n"].by_topic().items()},
    )
    if whole is None:
        return unmeasurable("there are no answers")
    return CheckFinding(share_verdict(whole), counted(whole), [whole])
