"""The leading setting in each metric, and the settings that are not detectably worse.

The leader is the setting with the best mean over prompts. Every other setting is tested against it,
paired by prompt, by sign flips. The leader was selected for being ahead, so a difference counts as
detected only where it is larger than the largest between any two settings would be by chance
(:mod:`.stats.joint_flips`). Settings without a detected difference form the *leading group* with
it. A setting outside the group is detectably worse; one inside is not proven equal. The lead over
the runner-up is biased upwards; intervals are those of two settings chosen beforehand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.comparison.comparison import at_least, is_significant
from evalharness.analysis.data.cell_means import cell_means
from evalharness.analysis.data.encode import Floats
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.json_values import interval, mean, number
from evalharness.analysis.data.metrics import SHARE_METRICS

#: Which way is better.
DIRECTIONS = {"agreement": 1, "agreement_answer": 1, "score": 1, "latency_s": -1, "cost_usd": -1}


class LeaderContrast(msgspec.Struct, frozen=True, kw_only=True):
    """A setting against the leader of a metric, paired by prompt.

    Attributes:
        setting_id: the setting.
        value: its mean over prompts, in the unit of the metric.
        difference: mean over the prompts of it minus the leader; null where they share no prompt.
        ci95: 95 % interval of the difference, not adjusted; null where it is undefined.
        n: prompts with a value of both.
        p: p value of the difference; null where it is undefined.
        p_adjusted: p value adjusted for having chosen the leader and for all lines of the
            headline; null where p is.
    """

    setting_id: str
    value: float
    difference: float | None
    ci95: list[float] | None
    n: int
    p: float | None
    p_adjusted: float | None


class Leaders(msgspec.Struct, frozen=True, kw_only=True):
    """The leading setting in a metric, and those that are not detectably worse.

    Attributes:
        setting_id: the leader, which has the best mean over prompts.
        value: its mean over prompts, in the unit of the metric.
        group: ids of the leading settings: the leader, then those that are not detectably worse.
        others: every other setting with a value.
    """

    setting_id: str
    value: float
    group: list[str]
    others: list[LeaderContrast]


class LeaderSearch:
    """Ranks the settings of a run in every metric, to be tested together with other lines.

    Args:
        frame: the run.
        flips: tests the contrasts; over the prompts of the run.
    """

    def __init__(self, frame: RunFrame, flips: stats.SignFlips) -> None:
        self._frame = frame
        self._ranked: dict[str, _RankedMetric | None] = {}
        for metric, sign in DIRECTIONS.items():
            ranking = _Ranking.of(frame, metric, sign)
            self._ranked[metric] = None if ranking is None else _RankedMetric.of(ranking, flips)

    def rankings(self) -> list[stats.RankedSettings]:
        """The ranked settings by unit, for :func:`.stats.joint_tests`."""
        return [ranked.settings for ranked in self._ranked.values() if ranked is not None]

    def leaders(
        self, tests: stats.FlipTests, adjusted: Sequence[Floats]
    ) -> dict[str, Leaders | None]:
        """The leading group of each metric, None where fewer than two settings have a value.

        Args:
            tests: of the sign flips.
            adjusted: p values of the contrasts of :meth:`rankings`.
        """
        left = iter(adjusted)
        return {
            metric: None
            if ranked is None
            else _describe_leader(self._frame, ranked, tests, next(left))
            for metric, ranked in self._ranked.items()
        }


def is_settled(leaders: Leaders) -> bool:
    """Whether the leading group is small enough to be a result.

    At least a quarter of the other settings must be outside it: one setting of thirty that is
    detectably worse does not make the other twenty-nine the best.
    """
    beaten = len(leaders.others) + 1 - len(leaders.group)
    return 0 < len(leaders.others) <= 4 * beaten


class _Ranking(NamedTuple):
    """The settings with a value in a metric; ``table`` holds prompts × settings."""

    metric: str
    best: int
    means: dict[int, float]
    table: Floats

    @classmethod
    def of(cls, frame: RunFrame, metric: str, sign: int) -> _Ranking | None:
        table = cell_means(frame, metric)
        columns = ((s, mean(table[:, s])) for s in range(table.shape[1]))
        means = {s: value for s, value in columns if value is not None}
        if len(means) < 2:
            return None
        best = max(means, key=lambda s: (sign * means[s], -s))
        return cls(metric, best, means, table)

    @property
    def others(self) -> list[int]:
        """The settings with a value but the best one."""
        return [s for s in self.means if s != self.best]


class _RankedMetric(NamedTuple):
    """A ranking with its contrasts: their columns among the sign flips, and their units."""

    ranking: _Ranking
    columns: list[int]
    settings: stats.RankedSettings

    @classmethod
    def of(cls, ranking: _Ranking, flips: stats.SignFlips) -> _RankedMetric:
        bounded = ranking.metric in SHARE_METRICS
        best = ranking.table[:, ranking.best]
        contrasts = [ranking.table[:, s] - best for s in ranking.others]
        columns = [flips.add(contrast, bounded=bounded) for contrast in contrasts]
        compared = ranking.table[:, list(ranking.means)]
        known = np.isfinite(compared)
        sums = np.where(known, compared, 0.0).sum(axis=1)
        centre = sums / np.maximum(known.sum(axis=1), 1)
        centred = np.where(known, compared - centre[:, None], np.nan)
        by_unit = np.stack([flips.units_of(column).sums for column in centred.T], axis=1)
        units = [flips.units_of(contrast) for contrast in contrasts]
        return cls(ranking, columns, stats.RankedSettings(by_unit, units))


def _describe_leader(
    frame: RunFrame, ranked: _RankedMetric, tests: stats.FlipTests, adjusted: Floats
) -> Leaders:
    ranking = ranked.ranking
    others: list[LeaderContrast] = []
    for setting, column, p in zip(ranking.others, ranked.columns, adjusted, strict=True):
        differences = ranking.table[:, setting] - ranking.table[:, ranking.best]
        n = int(np.isfinite(differences).sum())
        others.append(
            LeaderContrast(
                setting_id=frame.setting_ids[setting],
                value=ranking.means[setting],
                difference=mean(differences),
                ci95=interval(tests.interval(column)),
                n=n,
                p=number(tests.p[column]),
                # A setting that shares no prompt with the leader has no p, and stays in the group.
                p_adjusted=at_least(number(tests.p[column]), float(p)) if n else None,
            )
        )
    undetected = [o.setting_id for o in others if not is_significant(o.p_adjusted)]
    best = frame.setting_ids[ranking.best]
    return Leaders(
        setting_id=best,
        value=ranking.means[ranking.best],
        group=[best, *undetected],
        others=others,
    )
