"""The verdicts on batch invariance, with the figures that they rest on."""

from __future__ import annotations

from typing import Literal

import msgspec

from evalharness.analysis import stats
from evalharness.analysis.invariance.first_difference import FirstDifference

InvarianceVerdict = Literal[
    "no divergence", "parts", "as alone", "unclear", "not tested", "not measurable"
]  # fmt: skip


class DivergenceShare(msgspec.Struct, frozen=True, kw_only=True):
    """How often two outputs of a prompt differ. Shares are in [0, 1].

    Attributes:
        prompts: prompts with such a pair.
        parted: of these, prompts with any two outputs that differ; grows with the repeats.
        parted_ci95: interval of their share; null without prompts.
        rate: chance that two outputs of a prompt differ, mean over prompts; null without prompts.
        rate_ci95: its interval over prompts, or clusters; null where it is undefined.
        rate_below: where none differ, the upper bound (one-sided 95 %) of the share of prompts that
            do within as many repeats; null elsewhere.
    """

    prompts: int
    parted: int
    parted_ci95: list[float] | None
    rate: float | None
    rate_ci95: list[float] | None
    rate_below: float | None


class TagDivergence(msgspec.Struct, frozen=True, kw_only=True):
    """The prompts with a tag, under one load.

    Attributes:
        tag: the tag.
        divergence: an output under load against one alone.
    """

    tag: str
    divergence: DivergenceShare


class ConditionDivergence(msgspec.Struct, frozen=True, kw_only=True):
    """The outputs under one load against those alone.

    Attributes:
        setting_id: the setting.
        condition: the load's name.
        repeats: the most outputs of a prompt.
        divergence: an output under load against one alone.
        excess: its rate less that of two outputs alone, over the prompts where both are known; null
            where alone was sent once.
        excess_ci95: its interval over prompts, or clusters; null where it is undefined.
        p: one-sided p of "load changes nothing", by dealing the outputs of each prompt anew to the
            blocks; null where alone was sent once.
        p_adjusted: adjusted over all loads of the run (Holm).
        verdict: ``no divergence`` (no output differs from one alone), ``parts`` (p_adjusted below
            .05), ``as alone`` (some differ, not detectably more than alone), ``unclear`` (the same,
            and the blocks alone differ from each other), ``not tested`` (some differ, and alone was
            sent once), ``not measurable``.
        why: why it is not measurable; null elsewhere.
        first_difference: where outputs part; null where none do.
        tags: the same by tag, where prompts have several.
        in_flight_mean: requests in flight over the measurement; null unknown.
        held: whether the measurement is valid, so that the load was what was asked for; null
            unknown.
        between_blocks: whether a block alone was measured before it and one after; a change of the
            server over time may else pass for an effect of the load; null unknown.
        sentence: the verdict in words.
    """

    setting_id: str
    condition: str
    repeats: int
    divergence: DivergenceShare
    excess: float | None = None
    excess_ci95: list[float] | None = None
    p: float | None = None
    p_adjusted: float | None = None
    verdict: InvarianceVerdict = "not measurable"
    why: str | None = None
    first_difference: FirstDifference | None = None
    tags: list[TagDivergence] = []
    in_flight_mean: float | None = None
    held: bool | None = None
    between_blocks: bool | None = None
    sentence: str = ""


class BatchInvariance(msgspec.Struct, frozen=True, kw_only=True):
    """The verdicts on one model and set of parameters.

    Attributes:
        label: what sets it apart from others of the run; empty for the only one.
        model: as asked for; null unknown.
        setting_ids: the settings alone.
        blocks: how many measurements alone there are.
        repeats: the most outputs of a prompt in one of them.
        alone: two outputs alone, of different blocks where there are several: the noise that no
            load is behind.
        within: two outputs of one block alone.
        blocks_p: one-sided p of "the first and the last block alone do not differ"; null with one
            block, or one repeat.
        blocks_p_adjusted: adjusted over these tests and those of the loads (Holm).
        conditions: one a load, in the order of the run.
        why: why nothing is measurable; null where something is.
        statement: the verdicts as a paragraph for the documentation of one's own server; null where
            nothing is measurable.
    """

    label: str
    model: str | None
    setting_ids: list[str]
    blocks: int
    repeats: int
    alone: DivergenceShare
    within: DivergenceShare
    blocks_p: float | None
    conditions: list[ConditionDivergence]
    why: str | None = None
    statement: str | None = None
    blocks_p_adjusted: float | None = None

    @property
    def blocks_differ(self) -> bool:
        """Whether the blocks alone are known to differ from each other."""
        return self.blocks_p_adjusted is not None and self.blocks_p_adjusted < stats.ALPHA
