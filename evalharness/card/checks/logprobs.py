"""Do logprobs come, and do they hold together?"""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec

from evalharness.card.answers import Answer, CardAnswers
from evalharness.card.protocol import TOP_LOGPROBS
from evalharness.card.result import (
    CardVerdict,
    CheckFinding,
    counted,
    share_figure,
    share_verdict,
    unmeasurable,
)

_ROUNDING = 1e-6


class _Candidate(msgspec.Struct):
    token: str
    logprob: float


class _TokenLogprob(msgspec.Struct):
    token: str
    logprob: float
    top_logprobs: list[_Candidate] = []


class _ChoiceLogprobs(msgspec.Struct):
    content: list[_TokenLogprob] | None = None


def _tokens(answer: Answer) -> list[_TokenLogprob]:
    """The tokens of an answer's logprobs; empty where none came in a readable form."""
    if answer.logprobs_json is None:
        return []
    try:
        return msgspec.json.decode(answer.logprobs_json, type=_ChoiceLogprobs).content or []
    except msgspec.MsgspecError:
        return []


def _is_matched(answer: Answer, tokens: list[_TokenLogprob]) -> bool:
    """Whether there are as many tokens as the usage counts, save one that ends the text."""
    usage = answer.usage
    if usage.completion_tokens is None:
        return "".join(token.token for token in tokens) == (answer.text or "")
    return 0 <= usage.completion_tokens - (usage.reasoning_tokens or 0) - len(tokens) <= 1


def logprobs(answers: CardAnswers) -> CheckFinding:
    """Do logprobs come, for every token, at most 0, with as many candidates as asked for?"""
    topics = {
        topic: [(answer, _tokens(answer)) for answer in given if answer.text]
        for topic, given in answers["logprobs"].by_topic().items()
    }
    came = share_figure(
        "answers have logprobs", {t: [bool(x) for _, x in g] for t, g in topics.items()}
    )
    if came is None:
        return unmeasurable("no answer has a text")
    if not came.count:
        return CheckFinding(CardVerdict.NO, counted(came), [came])
    present = {t: [(a, x) for a, x in given if x] for t, given in topics.items()}
    conditions = [
        share_figure(name, {t: [holds(a, x) for a, x in g] for t, g in present.items()})
        for name, holds in _CONDITIONS.items()
    ]
    known = [figure for figure in conditions if figure is not None]
    words = "; ".join(map(counted, [came, *known]))
    verdicts = {share_verdict(figure) for figure in (came, *known)}
    verdict = CardVerdict.YES if verdicts == {CardVerdict.YES} else CardVerdict.PARTLY
    return CheckFinding(verdict, words, [came, *known])


def _are_logprobs(_: Answer, tokens: list[_TokenLogprob]) -> bool:
    return all(math.isfinite(t.logprob) and t.logprob <= _ROUNDING for t in tokens)


def _have_candidates(_: Answer, tokens: list[_TokenLogprob]) -> bool:
    """A token may have fewer candidates than asked for, but not every one of an answer."""
    return max(len(token.top_logprobs) for token in tokens) == TOP_LOGPROBS


_CONDITIONS: dict[str, Callable[[Answer, list[_TokenLogprob]], bool]] = {
    "have one for each token that is counted": _is_matched,
    "are all at most 0": _are_logprobs,
    f"have up to {TOP_LOGPROBS} candidates a token": _have_candidates,
}
