"""The verdict on one parameter, with its evidence."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType


class ValueCount(msgspec.Struct, frozen=True, kw_only=True):
    """A value of a parameter in request or response bodies.

    Attributes:
        value: the value, of any JSON type.
        count: how many bodies hold it.
    """

    value: Any
    count: int


class ParameterValues(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a parameter under one setting, in a sample of its bodies.

    Attributes:
        setting_id: the setting.
        requested: the value of the setting, of any JSON type; null where it has none.
        sent: the values in request bodies; null where a body has none; empty where no body is
            known.
        echoed: the values that response bodies repeat; empty where none does. Of ``model`` it is
            the served model of every record.
    """

    setting_id: str
    requested: Any
    sent: list[ValueCount]
    echoed: list[ValueCount]


class SameSeedTexts(msgspec.Struct, frozen=True, kw_only=True):
    """Outputs of one seed within a value of a parameter, and between two values.

    Attributes:
        within: agreement of two outputs of one seed at one value, 0 to 1; mean over prompts.
        across: the same between the two values.
        difference: within less across.
        ci95: its 95 % interval, from the same sign flips as p, so that it leaves 0 out exactly
            where p is below .05; null where undefined.
        p: of a sign-flip test of no difference; null where undefined.
        n: prompts.
    """

    within: float
    across: float
    difference: float
    ci95: list[float] | None
    p: float | None
    n: int


class FollowedShare(msgspec.Struct, frozen=True, kw_only=True):
    """How many requests follow their seed, estimated from the agreement of their outputs.

    Attributes:
        share: requests that follow their seed, 0 to 1.
        ci95: its 95 % interval; its low end is above 0 exactly where p is below .05; null with
            fewer than two prompts (clusters).
        n: prompts.
    """

    share: float
    ci95: list[float] | None
    n: int


class TextsWithoutStop(msgspec.Struct, frozen=True, kw_only=True):
    """Stop sequences in outputs of settings that send none: whether there was anything to cut.

    Attributes:
        n: outputs.
        containing: how many of them hold a sequence that another setting sends.
    """

    n: int
    containing: int


class EffectEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """What a verdict rests on; fields that a kind of verdict does not have are left out.

    Attributes:
        n: prompts that were compared (``seed``, ``temperature``, ``top_p``), or outputs that were
            checked (limits).
        difference: agreement with one seed less that with different seeds, or effective outputs at
            the high end less those at the low end; mean over prompts.
        ci95: the 95 % interval of the difference (``temperature``, ``top_p``; it leaves 0 out
            exactly where p is below .05), or of the share of violations or of diverging prompts;
            null where undefined. ``seed`` has that of ``followed`` instead.
        p: of "the parameter changes nothing"; null where undefined.
        test: how p was computed.
        same_seed_agreement: share of pairs of outputs with the same seed that are equal, 0 to 1;
            mean over prompts.
        different_seed_agreement: the same of pairs with different seeds.
        followed: how many requests follow their seed; null where the outputs never differ.
        low, high: the values at the two ends of the axis.
        effective_outputs_low, effective_outputs_high: exp of the entropy of the outputs of a prompt
            at that end; mean over prompts.
        effective_outputs_low_at_most: the same at the low end if no two draws had given the same
            text.
        fixed_seed: whether each setting at the high end has one and the same seed.
        same_seed: texts of one seed at both ends; null without two repeats of a seed at both.
        setting_id, label: the setting with temperature 0.
        prompts: prompts with at least two usable repeats.
        repeats: the largest number of usable repeats of a prompt.
        diverged: prompts with more than one output.
        violations: outputs that violate the limit.
        reached: outputs that came up to the limit or were cut by it.
        largest_excess: tokens above the limit, at most.
        without_stop: outputs of settings that send no stop sequence; null without such a setting.
        rate_below: upper bound of the rate of divergence or of violations, one-sided 95 %; null
            where a divergence was seen or nothing could be compared.
        rows: what was requested, sent and echoed, by setting.
        from_outputs: the verdict from the outputs alone, where a changed value stands over it.
    """

    n: int | UnsetType = UNSET
    difference: float | UnsetType = UNSET
    ci95: list[float] | UnsetType | None = UNSET
    p: float | UnsetType | None = UNSET
    test: str | UnsetType = UNSET
    same_seed_agreement: float | UnsetType = UNSET
    different_seed_agreement: float | UnsetType = UNSET
    followed: FollowedShare | UnsetType | None = UNSET
    low: list[float] | UnsetType = UNSET
    high: list[float] | UnsetType = UNSET
    effective_outputs_low: float | UnsetType = UNSET
    effective_outputs_high: float | UnsetType = UNSET
    effective_outputs_low_at_most: float | UnsetType = UNSET
    fixed_seed: bool | UnsetType = UNSET
    same_seed: SameSeedTexts | UnsetType | None = UNSET
    setting_id: str | UnsetType = UNSET
    label: str | UnsetType = UNSET
    prompts: int | UnsetType = UNSET
    repeats: int | UnsetType = UNSET
    diverged: int | UnsetType = UNSET
    violations: int | UnsetType = UNSET
    reached: int | UnsetType = UNSET
    largest_excess: float | UnsetType = UNSET
    without_stop: TextsWithoutStop | UnsetType | None = UNSET
    rate_below: float | UnsetType | None = UNSET
    rows: list[ParameterValues] | UnsetType = UNSET
    from_outputs: str | UnsetType = UNSET


class ParameterEffect(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the provider honours a parameter.

    Attributes:
        parameter: its name; ``temperature=0`` is about repeats at temperature 0, once a setting.
        verdict: ``honoured``, ``partly honoured``, ``ignored`` or ``reversed`` for what shapes the
            outputs; ``obeyed`` or ``not obeyed`` for limits; ``no divergence seen`` or ``diverges``
            for repeats at temperature 0; ``as asked`` or ``changed`` for values sent and echoed;
            ``undetectable`` where these data cannot tell; ``not offered`` for a ``seed`` that no
            provider of the run could be given.
        evidence: what the verdict rests on.
        sentence: the verdict in words, with its figures or the reason why there is none.
    """

    parameter: str
    verdict: str
    evidence: EffectEvidence
    sentence: str


def undetectable(parameter: str, reason: str) -> ParameterEffect:
    """Return the verdict where the run has no evidence, with the reason."""
    return ParameterEffect(
        parameter=parameter,
        verdict="undetectable",
        evidence=EffectEvidence(n=0),
        sentence=f"{parameter} undetectable: {reason}",
    )
