"""The row of a comparison, as ``report --json`` and ``compare --json`` have it."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from evalharness.analysis.data.json_values import JsonValues

#: Below this an adjusted p value counts as a difference.
SIGNIFICANCE_LEVEL = 0.05


def at_least(p: float | None, joint: float) -> float:
    """A joint p value, which is never below that of the comparison for itself."""
    return joint if p is None else max(p, joint)


def deciding_p(p_adjusted: float | None, p_headline: float | None) -> float | None:
    """The p value that decides: over all lines of the headline, else over the family."""
    return p_adjusted if p_headline is None else p_headline


def is_significant(p_adjusted: float | None) -> bool:
    """Whether an adjusted p value counts as a difference; an unknown one does not."""
    return p_adjusted is not None and p_adjusted < SIGNIFICANCE_LEVEL


class DiscordantPrompts(msgspec.Struct, frozen=True):
    """Prompts that only one side of a comparison passes, as McNemar's test counts them.

    Attributes:
        b: prompts passed by a alone.
        c: prompts passed by b, the baseline, alone.
    """

    b: int
    c: int


class UnmatchedPrompts(msgspec.Struct, frozen=True):
    """Prompts left out of a comparison, because only one side has a value.

    Attributes:
        a: prompts with a value on the compared side only.
        b: prompts with a value on the baseline side only.
    """

    a: int
    b: int

    @property
    def total(self) -> int:
        """Of both sides."""
        return self.a + self.b


class MissingShares(msgspec.Struct, frozen=True, kw_only=True):
    """The trials of a comparison that have no usable value.

    Attributes:
        a, b: their share on each side, 0 to 1, the mean over prompts; null without trials.
        p: p value of the difference of the shares, not adjusted; null where it is undefined.
        differs: whether p is below .05 after Holm's adjustment for the family.
    """

    a: float | None
    b: float | None
    p: float | None = None
    differs: bool = False


class StrictDifference(msgspec.Struct, frozen=True, kw_only=True):
    """The difference in score with every error counted as 0.

    Attributes:
        difference: a minus b, 0 to 1; null where no prompt has a value on both sides.
        ci95: its 95 % interval; null where it is undefined.
        p: its p value, not adjusted; null where it is undefined.
    """

    difference: float | None
    ci95: list[float] | None
    p: float | None = None


class MeanRatio(msgspec.Struct, frozen=True):
    """How many times as large a is as b.

    Attributes:
        value: geometric mean over prompts of the ratios of a to b; of rates the ratio of both.
        ci95: its 95 % interval; null where it is undefined.
        n: prompts with a positive value on both sides; of rates that of the comparison.
    """

    value: float
    ci95: list[float] | None
    n: int


class Equivalence(msgspec.Struct, frozen=True):
    """Two one-sided tests of whether the sides are equal within a margin.

    Attributes:
        margin: largest difference that counts as equal, 0 to 1.
        p: p value of a larger one, not adjusted; null where the differences have no spread.
    """

    margin: float
    p: float | None


class PercentileDifference(msgspec.Struct, frozen=True):
    """A percentile over the trials of each side.

    Attributes:
        a, b: its value on each side, in the unit of the metric.
        difference: a minus b, in the unit of the metric.
        ci95: 95 % interval of the difference; null where it is undefined.
    """

    a: float
    b: float
    difference: float
    ci95: list[float] | None


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Settings against their counterparts at a baseline value in one metric, paired by prompt.

    Side ``a`` is compared with side ``b``, the baseline. The unit of a metric is a share from 0 to
    1, seconds, tokens or US dollars. Rates per second are of a load point as a whole: their unit is
    ``time`` or ``search`` in place of ``prompt``, and what is of prompts is null.

    Attributes:
        metric: what is compared.
        by: the axis along which the sides differ.
        a, b: the setting id of each side; of pooled comparisons the axis with its value.
        a_label, b_label: the label of each side's setting; of pooled ones the axis with its value.
        a_value, b_value: each side's value on the axis, or its name (see ``named_texts``); null is
            a parameter that is not sent.
        a_settings, b_settings: ids of the settings of each side, matched in order.
        a_run, b_run: the run of each side; null where a single run is compared.
        pooled: whether the comparison averages over several strata.
        stratum: values of the other axes that vary, which both sides share; empty when pooled.
        also_differs: what else differs between the sides, such as the model of a provider.
        difference: mean over the prompts of a minus b, in the unit of the metric; null where no
            prompt has a value on both sides.
        ci95: 95 % interval of the difference, not adjusted; null where it is undefined.
        p: p value of ``test``; null where it is undefined.
        p_adjusted: p value adjusted over the family; null where p is.
        p_headline: p value adjusted over all lines of the headline of the report, which decides
            whether it is one of the detected differences there; null for rows that are not in the
            headline, and outside of a report.
        test: name of the test.
        n: prompts with a value on both sides; of rates the stretches of time that a side has at
            least, of a search the valid load points.
        unit: what ``n`` counts, and the test takes as independent: ``prompt``; ``time`` for
            stretches of the window of a load point; ``search`` for load points of a search, whose
            outcome has bounds and no interval.
        counted: of rates, the answers behind side a and side b; null of others.
        bounds: of a search, the least and most that a minus b can be by the verdicts on single load
            points; an end without a bound is null; null of others.
        repeats: largest number of usable repeats behind a value of side a, and of side b; null of
            rates.
        mde: smallest difference that the test detects with 80 % chance, in the unit of the metric;
            null where there is neither a spread nor a bound, and where it detects none.
        mde_from: ``spread`` of the differences; a ``bound`` of it where they are all equal;
            ``none`` where no difference can be detected; null where neither is known.
        a_mean, b_mean: mean over the prompts of each side, in the unit of the metric; null where no
            prompt has a value on both sides.
        wins, losses, ties: prompts in which a is higher than, lower than and equal to b; null of
            rates.
        correlation: of the two sides over prompts, -1 to 1; null where a side does not vary.
        mcnemar: counts of McNemar's test; null where another test was made.
        unmatched: prompts left out.
        ratio: of the sides, for latency, tokens, cost and rates; null for other metrics, or where
            no prompt has two positive values.
        percentiles: ``p50`` and ``p95`` over trials, for latency and tokens; null for other
            metrics.
        missing: trials without a value.
        errors_as_failures: the score again with every error counted 0; null for other metrics, or
            without errors.
        equivalence: test of equality within a margin; null where none was given, and for latency,
            tokens and cost.
        adjustment: ``holm`` or ``benjamini-hochberg``.
        family: comparisons that p is adjusted for: those of the metric, pooled ones apart.
        sentence: all of it in words.
    """

    metric: str
    by: str
    a: str
    a_label: str
    a_value: Any
    a_settings: list[str]
    a_run: str | None
    b: str
    b_label: str
    b_value: Any
    b_settings: list[str]
    b_run: str | None
    pooled: bool
    stratum: JsonValues
    also_differs: list[str]
    difference: float | None
    ci95: list[float] | None
    p: float | None
    p_adjusted: float | None = None
    p_headline: float | None = None
    test: str
    n: int
    repeats: tuple[int, int] | None
    mde: float | None
    mde_from: Literal["spread", "bound", "none"] | None
    a_mean: float | None
    b_mean: float | None
    wins: int | None
    losses: int | None
    ties: int | None
    correlation: float | None
    mcnemar: DiscordantPrompts | None
    unmatched: UnmatchedPrompts
    ratio: MeanRatio | None
    percentiles: dict[str, PercentileDifference] | None
    missing: MissingShares
    errors_as_failures: StrictDifference | None
    equivalence: Equivalence | None
    adjustment: Literal["holm", "benjamini-hochberg"] = "holm"
    family: int = 0
    sentence: str = ""
    unit: Literal["prompt", "time", "search"] = "prompt"
    counted: list[int] | None = None
    bounds: list[float | None] | None = None

    @property
    def deciding_p(self) -> float | None:
        """The p value that decides; see :func:`deciding_p`."""
        return deciding_p(self.p_adjusted, self.p_headline)

    @property
    def is_detected(self) -> bool:
        """Whether the difference is significant after adjustment."""
        return is_significant(self.deciding_p)

    @property
    def all_tied(self) -> bool:
        """Whether no prompt differs at all."""
        return self.wins == self.losses == 0

    @property
    def largest_figure(self) -> float:
        """The largest of its difference, interval and detectable size; sets the unit of all."""
        return max(abs(x) for x in (self.difference or 0.0, self.mde or 0.0, *(self.ci95 or ())))

    @property
    def is_underpowered(self) -> bool:
        """Whether no difference can be detected: too few prompts, or none that is large enough."""
        return self.mde_from == "none"
