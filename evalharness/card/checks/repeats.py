"""Do texts repeat: at temperature 0, with a seed, with another temperature or top_p, in a stream?

Every p is of one permutation test: were a parameter ignored, the texts of a prompt could have come
under its values in any order (:func:`evalharness.analysis.stats.label_permutation`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, product

import numpy as np

from evalharness.analysis import stats
from evalharness.card.answers import CardAnswers
from evalharness.card.result import (
    CardVerdict,
    CheckFigure,
    CheckFinding,
    counted,
    share_figure,
    unmeasurable,
)

ALPHA = 0.05
#: From here on texts look as if the parameter did nothing; in between nothing is said.
NOTHING = 0.1
DRAWS = 1_999
Texts = Mapping[str, Sequence[str]]

_NO_PAIRS = "no prompt has two answers with a text (of a model that reasons, a larger "
_NO_TEXTS = _NO_PAIRS + "params.max_tokens leaves room for one)"


def equal_pairs(texts: Texts, name: str) -> CheckFigure | None:
    """How many pairs of texts of one prompt are the same."""
    return share_figure(
        name, {t: [a == b for a, b in combinations(given, 2)] for t, given in texts.items()}
    )


def cross_pairs(some: Texts, others: Texts, name: str) -> CheckFigure | None:
    """How many pairs of texts of one prompt, one from each side, are the same."""
    return share_figure(
        name,
        {t: [a == b for a, b in product(given, others.get(t, ()))] for t, given in some.items()},
    )


def label_p(groups: Sequence[Texts], weights: Sequence[float]) -> float | None:
    """P of "equal texts of one prompt are in one group no more often than by chance".

    ``weights`` is what an equal pair in each group counts. None without texts.
    """
    topics = sorted({topic for texts in groups for topic in texts})
    cell: list[int] = []
    code: list[int] = []
    label: list[int] = []
    for number, topic in enumerate(topics):
        codes: dict[str, int] = {}
        for group, texts in enumerate(groups):
            for text in texts.get(topic, ()):
                cell.append(number)
                code.append(codes.setdefault(text, len(codes)))
                label.append(group)
    weight = np.tile(np.array(weights, dtype=np.float64), (len(topics), 1))
    return stats.label_permutation(
        np.array(cell), np.array(code), np.array(label), weight, draws=DRAWS
    )


def temperature_zero(answers: CardAnswers) -> CheckFinding:
    """Do repeats at temperature 0 give the same text?"""
    texts = answers["temperature-0"].texts()
    same = equal_pairs(texts, "pairs of repeats have the same text")
    if same is None:
        return unmeasurable(_NO_TEXTS)
    if same.count == same.n:
        bound = stats.divergence_bound(same.prompts) or 1.0
        number = sum(map(len, texts.values()))
        words = f"no divergence among {number} texts of {same.prompts} prompts: below {bound:.0%} "
        return CheckFinding(CardVerdict.YES, f"{words}of prompts (95 %)", [same])
    parted = sum(len(set(given)) > 1 for given in texts.values())
    verdict = CardVerdict.NO if same.high is not None and same.high < 0.5 else CardVerdict.PARTLY
    return CheckFinding(verdict, f"{counted(same)}; texts of {parted} prompts differ", [same])


def seed(answers: CardAnswers) -> CheckFinding:
    """Does a seed repeat its text, and another seed give another?"""
    first, second = answers["seed-11"].texts(), answers["seed-12"].texts()
    without = answers["temperature-1"].texts()
    same = _joined_pairs([first, second], "pairs with one seed have the same text")
    other = cross_pairs(first, second, "pairs with two seeds")
    unseeded = equal_pairs(without, "pairs without a seed")
    if same is None or other is None or unseeded is None:
        return unmeasurable(_NO_TEXTS)
    figures = [same, other, unseeded]
    if other.count == other.n and unseeded.count == unseeded.n and same.count == same.n:
        return unmeasurable("all texts are the same, with any seed or none", figures)
    p = label_p([first, second, without], [1.0, 1.0, 0.0])
    words = "; ".join(map(counted, figures))
    if p is not None and p < ALPHA:
        whole = same.count == same.n and other.count < other.n
        if same.count == same.n and not whole:
            words += ": a seed repeats its text, but another seed gives no other"
        return CheckFinding(CardVerdict.YES if whole else CardVerdict.PARTLY, words, figures, p)
    if same.count < same.n:
        return CheckFinding(
            CardVerdict.NO, f"{words}: a seed repeats no more than chance", figures, p
        )
    return unmeasurable(f"texts vary too little at temperature 1 ({words})", figures)


def temperature(answers: CardAnswers) -> CheckFinding:
    """Do texts vary more at temperature 1 than at 0?"""
    warm = answers["temperature-1"].texts()
    cold = {t: given for t, given in answers["temperature-0"].texts().items() if t in warm}
    at_0 = equal_pairs(cold, "pairs at 0 have the same text")
    at_1 = equal_pairs(warm, "at 1")
    if at_0 is None or at_1 is None:
        return unmeasurable(_NO_TEXTS)
    figures, words = [at_0, at_1], f"{counted(at_0)}, {counted(at_1)}"
    if at_1.count == at_1.n:
        return CheckFinding(CardVerdict.NO, f"{words}: nothing varies at temperature 1", figures)
    p = label_p([cold, warm], [1.0, -1.0])
    if p is not None and p < ALPHA:
        return CheckFinding(CardVerdict.YES, words, figures, p)
    if at_0.count == at_0.n or (p is not None and p < NOTHING):
        return unmeasurable(f"texts vary too little at temperature 1 ({words})", figures)
    return CheckFinding(CardVerdict.NO, f"{words}: no more variety at 1 than chance", figures, p)


def top_p(answers: CardAnswers) -> CheckFinding:
    """Do texts vary less at top_p=0.01 than without it?"""
    narrow, plain = answers["top_p"].texts(), answers["plain"].texts()
    at_tiny = equal_pairs(narrow, "pairs at top_p 0.01 have the same text")
    without = equal_pairs(plain, "without top_p")
    if at_tiny is None or without is None:
        return unmeasurable(_NO_TEXTS)
    figures, words = [at_tiny, without], f"{counted(at_tiny)}, {counted(without)}"
    if without.count == without.n:
        return unmeasurable("nothing varies without top_p, either", figures)
    p = label_p([narrow, plain], [1.0, -1.0])
    if p is not None and p < ALPHA:
        return CheckFinding(CardVerdict.YES, words, figures, p)
    if at_tiny.count == at_tiny.n or (p is not None and p < NOTHING):
        return unmeasurable(f"texts vary too little without top_p ({words})", figures)
    return CheckFinding(CardVerdict.NO, f"{words}: no less variety than chance", figures, p)


def stream(answers: CardAnswers) -> CheckFinding:
    """At temperature 0, does a stream give the text that an unstreamed answer has?"""
    plain = answers["temperature-0"].texts()
    streamed = answers["temperature-0-stream"].texts()
    across = cross_pairs(plain, streamed, "pairs of a streamed and an unstreamed text are the same")
    within = equal_pairs(plain, "unstreamed pairs")
    if across is None or within is None:
        return unmeasurable(_NO_TEXTS)
    figures, words = [across, within], f"{counted(across)}; {counted(within)}"
    if across.count == across.n:
        bound = stats.divergence_bound(across.prompts) or 1.0
        words = f"no divergence in {across.prompts} prompts: below {bound:.0%} of prompts (95 %)"
        return CheckFinding(CardVerdict.YES, words, figures)
    if within.count == 0:
        return unmeasurable(f"unstreamed texts never repeat, either ({words})", figures)
    p = label_p([plain, streamed], [1.0, 1.0])
    if p is None or p >= ALPHA:
        return CheckFinding(CardVerdict.YES, f"{words}: no more than by chance", figures, p)
    low = across.high is not None and across.high < 0.5
    return CheckFinding(CardVerdict.NO if low else CardVerdict.PARTLY, words, figures, p)


def _joined_pairs(groups: Sequence[Texts], name: str) -> CheckFigure | None:
    """The pairs within each group, counted together by prompt."""
    pairs: dict[str, list[bool]] = {}
    for texts in groups:
        for topic, given in texts.items():
            pairs.setdefault(topic, []).extend(a == b for a, b in combinations(given, 2))
    return share_figure(name, pairs)
