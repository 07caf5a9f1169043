"""A check's verdict with its evidence, and the rules that all checks share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

import msgspec
import numpy as np

from evalharness.analysis import stats
from evalharness.card.answers import Arm
from evalharness.process.text import plural
from evalharness.report.words.sanitize import one_line

#: From this share of an arm's requests on, its answers are enough for a verdict.
ENOUGH = 0.5
_REMEDY = " → "  # between the server's words and what to type in any other run
_MAX_WORDS = 200  # characters of a server's message


class CardVerdict(StrEnum):
    """What the answers say of a parameter."""

    YES = "yes"
    NO = "no"
    PARTLY = "partly"
    NOT_OFFERED = "not offered"  # the protocol or the provider's profile cannot send it
    REFUSED = "refused"  # the server answers with an error
    NOT_MEASURABLE = "not measurable"


class CheckFigure(msgspec.Struct, frozen=True, kw_only=True):
    """A share with its interval.

    Attributes:
        name: what it is the share of.
        count: how many.
        n: of so many: answers, or pairs of answers to one request.
        share: count / n where every answer counts alike; of pairs, the mean over prompts.
        low, high: the 95 % interval over prompts; null where the data allow none.
        prompts: the independent units behind it.
    """

    name: str
    count: int
    n: int
    share: float
    low: float | None
    high: float | None
    prompts: int


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the card.

    Attributes:
        check: a name that programs use.
        title: what is asked.
        verdict: the answer.
        evidence: what it rests on, or why there is none, in words.
        figures: the counts.
        p: of the check's permutation test; null: it has none, or it was not made.
        requests: of the protocol, for this check alone and with others.
        answered: of them.
        refused: of them, by the server.
    """

    check: str
    title: str
    verdict: CardVerdict
    evidence: str
    figures: list[CheckFigure] = []
    p: float | None = None
    requests: int = 0
    answered: int = 0
    refused: int = 0


class CheckFinding(msgspec.Struct, frozen=True):
    """What a check says; the rest of its row is the same for all checks."""

    verdict: CardVerdict
    evidence: str
    figures: Sequence[CheckFigure] = ()
    p: float | None = None


def obstacle(arms: Sequence[Arm]) -> CheckFinding | None:
    """Why a check of these arms has no verdict by its own rule; None: they are answered."""
    for arm in arms:
        if arm.left_out is not None:
            return CheckFinding(CardVerdict.NOT_OFFERED, f"not sent: {arm.left_out}")
    for arm in arms:
        answers, refusals = arm.answers, arm.refusals
        if arm.planned and len(answers) >= ENOUGH * arm.planned:
            continue
        if refusals and len(refusals) >= len(arm.records) - len(refusals):
            words = (refusals[0].error_message or "no reason given").partition(_REMEDY)[0]
            count = f"{len(refusals)} of {len(arm.records)} requests refused"
            return CheckFinding(CardVerdict.REFUSED, f"{count}: {one_line(words, _MAX_WORDS)}")
        return CheckFinding(
            CardVerdict.NOT_MEASURABLE, f"not measurable here, because {_lack(arm)}"
        )
    return None


def _lack(arm: Arm) -> str:
    if not arm.planned:
        return f"the run has no requests `{arm.name}`"
    errors = arm.error_counts()
    why = f" ({errors})" if errors else ""
    unsent = arm.planned - len(arm.records)
    more = f", {plural(unsent, 'request')} not sent yet" if unsent > 0 else ""
    return f"{len(arm.answers)} of {arm.planned} requests `{arm.name}` are answered{why}{more}"


def finished(check: str, title: str, arms: Sequence[Arm], finding: CheckFinding) -> CheckResult:
    """The row of a check: a parameter that is refused now and then is honoured partly at most."""
    refused = sum(len(arm.refusals) for arm in arms)
    verdict, evidence = finding.verdict, finding.evidence
    planned, answered = sum(a.planned for a in arms), sum(len(a.answers) for a in arms)
    if verdict in (CardVerdict.YES, CardVerdict.NO, CardVerdict.PARTLY):
        if refused and verdict is CardVerdict.YES:
            verdict = CardVerdict.PARTLY
        if refused:
            evidence += f"; {plural(refused, 'request')} refused by the server"
        if answered < planned:
            evidence += f"; {answered} of {planned} requests answered"
    return CheckResult(
        check=check,
        title=title,
        verdict=verdict,
        evidence=evidence,
        figures=list(finding.figures),
        p=finding.p,
        requests=planned,
        answered=answered,
        refused=refused,
    )


def unmeasurable(reason: str, figures: Sequence[CheckFigure] = ()) -> CheckFinding:
    """A finding without a verdict."""
    return CheckFinding(
        CardVerdict.NOT_MEASURABLE, f"not measurable here, because {reason}", figures
    )


def share_figure(name: str, by_topic: Mapping[str, Sequence[bool]]) -> CheckFigure | None:
    """The share of answers with a property; None without answers."""
    values = {topic: list(held) for topic, held in by_topic.items() if held}
    n = sum(map(len, values.values()))
    if not n:
        return None
    count = sum(map(sum, values.values()))
    sums = np.array([sum(held) for held in values.values()], dtype=np.float64)
    sizes = np.array([len(held) for held in values.values()], dtype=np.float64)
    ends = stats.ratio_ci(sums, sizes, scale="share")
    low, high = ends or (None, None)
    return CheckFigure(
        name=name, count=count, n=n, share=count / n, low=low, high=high, prompts=len(values)
    )


def share_verdict(figure: CheckFigure) -> CardVerdict:
    """``yes`` where all hold, ``no`` where the interval lies below one half, else ``partly``.

    Where the interval is not defined, the share itself decides.
    """
    if figure.count == figure.n:
        return CardVerdict.YES
    high = figure.share if figure.high is None else figure.high
    return CardVerdict.NO if high < 0.5 else CardVerdict.PARTLY


def counted(figure: CheckFigure) -> str:
    """A figure as ``24 of 24 answers end with …``."""
    return f"{figure.count} of {figure.n} {figure.name}"
