"""One row a setting: everything a report says about a single setting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.agreement.agreement import (
    Agreement,
    Sensitivity,
    agreement,
    sensitivity,
)
from evalharness.analysis.agreement.divergence import Divergence, divergence
from evalharness.analysis.cost.usage import SettingDollars, TokenCounts, cost_usd, token_usage
from evalharness.analysis.data import json_values
from evalharness.analysis.data.encode import UNKNOWN
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.json_values import JsonValues
from evalharness.analysis.data.statuses import ERROR, STATUSES
from evalharness.analysis.latency import Durations, latency
from evalharness.analysis.quality import ScoreSummary, quality
from evalharness.finish_reasons import FinishKind, finish_kind
from evalharness.pricing.cost_columns import CostColumns

FINGERPRINTS = 20  # names listed; more are only counted


class SettingAgreement(msgspec.Struct, frozen=True, kw_only=True):
    """The agreement of a setting by what is compared.

    Attributes:
        raw: of the texts.
        answer: of the extracted answers; its figures are null where none are extracted.
    """

    raw: Agreement
    answer: Agreement


class AnswerGaps(msgspec.Struct, frozen=True, kw_only=True):
    """The outputs of a setting without an answer.

    Attributes:
        n: outputs without one.
        share: of the outputs, in [0, 1]; null without outputs.
    """

    n: int
    share: float | None


class SettingSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about a single setting.

    Attributes:
        setting_id: of the setting.
        label: its name.
        params: the parameters it sends, by name; those under `extra` as `extra.NAME`.
        axes: its value on each swept axis, or the name of the value (see `named_texts`).
        prompts: prompts with a trial.
        trials: records.
        availability: share of trials with an output, in [0, 1]; null without trials.
        availability_ci95: ``[low, high]`` of it, with the prompt (or its cluster) as the unit; null
            without trials.
        status: trials by status.
        status_share: share of trials by status, in [0, 1]; null without trials.
        unparsed: the outputs without an answer; null when no answers are extracted.
        agreement: how far repeats agree.
        modal_share, distinct, effective_outputs: of the texts, as in ``agreement.raw``.
        score: by the first scorer.
        scores: by every scorer, by its name, the first included.
        latency_s: seconds to the complete answer, without errors and the wait in our own queue.
        ttft_s: seconds to the first token, likewise; only where answers were streamed.
        tokens: as the provider reported them, by kind.
        cost_usd: US dollars.
        sensitivity: agreement under other rules.
        divergence: where repeats first differ, and by how much.
        response_models, system_fingerprints: records by the value that the provider answered
            with, the 20 commonest.
        unknown_finish_reasons: records by a finish_reason whose meaning is not known, the 20
            commonest: counted as if the answer had ended by itself, which it may not.
    """

    setting_id: str
    label: str
    params: JsonValues
    axes: JsonValues
    prompts: int
    trials: int
    availability: float | None
    availability_ci95: list[float] | None
    status: dict[str, int]
    status_share: dict[str, float | None]
    unparsed: AnswerGaps | None
    agreement: SettingAgreement
    modal_share: float | None
    distinct: float | None
    effective_outputs: float | None
    score: ScoreSummary
    scores: dict[str, ScoreSummary]
    latency_s: Durations
    ttft_s: Durations
    tokens: dict[str, TokenCounts]
    cost_usd: SettingDollars
    sensitivity: Sensitivity
    divergence: Divergence
    response_models: dict[str, int]
    system_fingerprints: dict[str, int]
    unknown_finish_reasons: dict[str, int]


class _TrialCounts(NamedTuple):
    """The trials of a setting; see :class:`SettingSummary`."""

    prompts: int
    trials: int
    availability: float | None
    availability_ci95: list[float] | None
    status: dict[str, int]
    status_share: dict[str, float | None]
    unparsed: AnswerGaps | None


def summarise(frame: RunFrame, costs: CostColumns) -> list[SettingSummary]:
    """Describe each setting, in the frame's order; ``costs`` are those of ``frame.records``."""
    raw = agreement(frame, frame.output_variants)
    answers = agreement(frame, frame.answer_variants)
    score = quality(frame)
    scores = _scores_by_name(frame, score)
    latency_s, ttft_s = latency(frame), latency(frame, "ttft_s")
    tokens, sensitivities, divergences = token_usage(frame), sensitivity(frame), divergence(frame)
    counts = [_trials(frame, s) for s in range(len(frame.setting_ids))]
    models = _value_counts(frame, "response_model")
    fingerprints = _value_counts(frame, "system_fingerprint")
    unknown_finishes = _value_counts(frame, "finish_reason", _is_unknown_finish)
    return [
        SettingSummary(
            setting_id=setting_id,
            label=frame.label(s),
            params=frame.params(s),
            axes=frame.axes(s),
            prompts=trials.prompts,
            trials=trials.trials,
            availability=trials.availability,
            availability_ci95=trials.availability_ci95,
            status=trials.status,
            status_share=trials.status_share,
            unparsed=trials.unparsed,
            agreement=SettingAgreement(raw=raw[s], answer=answers[s]),
            modal_share=raw[s].modal_share,
            distinct=raw[s].distinct,
            effective_outputs=raw[s].effective_outputs,
            score=score[s],
            scores=scores[s],
            latency_s=latency_s[s],
            ttft_s=ttft_s[s],
            tokens=tokens[s],
            cost_usd=cost_usd(costs.setting(setting_id)),
            sensitivity=sensitivities[s],
            divergence=divergences[s],
            response_models=models[s],
            system_fingerprints=fingerprints[s],
            unknown_finish_reasons=unknown_finishes[s],
        )
        for s, (setting_id, trials) in enumerate(zip(frame.setting_ids, counts, strict=True))
    ]


def _trials(frame: RunFrame, setting: int) -> _TrialCounts:
    """The status counts of a setting's trials."""
    rows = frame.rows_of(setting)
    status = frame.status[rows]
    trials = len(status)
    counts = np.bincount(status, minlength=len(STATUSES)).tolist()
    usable = trials - counts[ERROR]
    return _TrialCounts(
        prompts=int(np.count_nonzero(np.bincount(frame.prompt[rows]))),
        trials=trials,
        availability=usable / trials if trials else None,
        availability_ci95=_availability_interval(frame, rows),
        status=dict(zip(STATUSES, counts, strict=True)),
        status_share={
            name: count / trials if trials else None
            for name, count in zip(STATUSES, counts, strict=True)
        },
        unparsed=_unparsed(frame, rows),
    )


def _availability_interval(frame: RunFrame, rows: slice) -> list[float] | None:
    """The interval of the share of trials with an output; errors may come by prompt."""
    prompt = frame.prompt[rows]
    unit = prompt if frame.clusters is None else frame.clusters[prompt]
    sizes = np.bincount(unit).astype(np.float64)
    sums = np.bincount(unit, frame.usable[rows]).astype(np.float64)
    tried = sizes > 0
    if not tried.any():
        return None
    return json_values.interval(stats.ratio_ci(sums[tried], sizes[tried], scale="share"))


def _unparsed(frame: RunFrame, rows: slice) -> AnswerGaps | None:
    """Count the outputs without a parsed answer; None when no answers were extracted."""
    if frame.answer is None:
        return None
    usable = frame.usable[rows]
    n = int(np.count_nonzero(usable & (frame.answer[rows] == UNKNOWN)))
    total = int(np.count_nonzero(usable))
    return AnswerGaps(n=n, share=n / total if total else None)


def _scores_by_name(
    frame: RunFrame, first: Sequence[ScoreSummary]
) -> list[dict[str, ScoreSummary]]:
    """Describe every scorer by name, one dict a setting; ``first`` is what the first one says."""
    names = list(frame.scores)
    others = {name: quality(frame, name) for name in names[1:]}
    by_name = dict.fromkeys(names[:1], first) | others
    return [
        {name: rows[s] for name, rows in by_name.items()} for s in range(len(frame.setting_ids))
    ]


def _is_unknown_finish(finish_reason: str) -> bool:
    return finish_kind(finish_reason) is FinishKind.UNKNOWN


def _value_counts(
    frame: RunFrame, column: str, is_counted: Callable[[str], bool] | None = None
) -> list[dict[str, int]]:
    """Count the values of a text column (or some of them) in each setting, commonest first."""
    codes, names = frame.codes(column)
    counted = np.array([is_counted is None or is_counted(name) for name in names], np.bool_)
    out: list[dict[str, int]] = []
    for s in range(len(frame.setting_ids)):
        setting_codes = codes[frame.rows_of(s)]
        counts = np.bincount(setting_codes[setting_codes != UNKNOWN], minlength=len(names))
        present = np.flatnonzero(counts * counted).tolist()
        top = sorted(present, key=lambda i: (-counts[i], names[i]))
        out.append({names[i]: int(counts[i]) for i in top[:FINGERPRINTS]})
    return out
