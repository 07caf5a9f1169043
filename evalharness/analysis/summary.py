"""One row a setting: everything a report says about a single setting."""

from __future__ import annotations

from typing import Any

import numpy as np

from evalharness.analysis.agreement.agreement import agreement, sensitivity
from evalharness.analysis.agreement.divergence import divergence
from evalharness.analysis.cost.usage import cost_usd, token_usage
from evalharness.analysis.data import json_values
from evalharness.analysis.data.encode import UNKNOWN
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.statuses import ERROR, STATUSES
from evalharness.analysis.latency import latency
from evalharness.analysis.quality import quality
from evalharness.pricing.cost_columns import CostColumns

FINGERPRINTS = 20  # names listed; more are only counted


def summarise(frame: RunFrame, costs: CostColumns) -> dict[str, Any]:
    """Return the ``settings`` part of ``report --json``: plain values, None for what is unknown.

    ``costs`` are those of ``frame.records``.

    The one key is ``settings``, a list with one row a setting in the frame's order. Besides the
    documented keys a row has ``availability_ci95`` (Wilson), ``distinct``,
    ``status_share`` (of trials), ``unparsed`` (outputs without an answer, and their share),
    ``sensitivity``, ``divergence``, ``response_models`` and ``system_fingerprints`` seen, ``axes``,
    and ``scores`` of the scorers after the first.
    """
    raw = agreement(frame, frame.output_variants)
    answers = agreement(frame, frame.answer_variants)
    parts: dict[str, list[Any]] = {
        "agreement": [{"raw": r, "answer": a} for r, a in zip(raw, answers, strict=True)],
        "modal_share": [row["modal_share"] for row in raw],
        "distinct": [row["distinct"] for row in raw],
        "effective_outputs": [row["effective_outputs"] for row in raw],
        "score": quality(frame),
        "scores": _other_scores(frame),
        "latency_s": latency(frame),
        "ttft_s": latency(frame, "ttft_s"),
        "tokens": token_usage(frame),
        "cost_usd": [cost_usd(costs.setting(setting_id)) for setting_id in frame.setting_ids],
        "sensitivity": sensitivity(frame),
        "divergence": divergence(frame),
        "response_models": _value_counts(frame, "response_model"),
        "system_fingerprints": _value_counts(frame, "system_fingerprint"),
    }
    rows = [
        {**_trials(frame, s), **{name: column[s] for name, column in parts.items()}}
        for s in range(len(frame.setting_ids))
    ]
    return {"settings": rows}


def _trials(frame: RunFrame, setting: int) -> dict[str, Any]:
    """The identity of a setting, and the status counts of its trials."""
    rows = frame.rows_of(setting)
    status = frame.status[rows]
    trials = len(status)
    counts = np.bincount(status, minlength=len(STATUSES)).tolist()
    usable = trials - counts[ERROR]
    return {
        "setting_id": frame.setting_ids[setting],
        "label": frame.label(setting),
        "params": frame.params(setting),
        "axes": frame.axes(setting),
        "prompts": int(np.count_nonzero(np.bincount(frame.prompt[rows]))),
        "trials": trials,
        "availability": usable / trials if trials else None,
        "availability_ci95": json_values.share_interval(usable, trials),
        "status": dict(zip(STATUSES, counts, strict=True)),
        "status_share": {
            name: count / trials if trials else None
            for name, count in zip(STATUSES, counts, strict=True)
        },
        "unparsed": _unparsed(frame, rows),
    }


def _unparsed(frame: RunFrame, rows: slice) -> dict[str, Any] | None:
    """Count the outputs without a parsed answer; None when no answers were extracted."""
    if frame.answer is None:
        return None
    usable = frame.usable[rows]
    n = int(np.count_nonzero(usable & (frame.answer[rows] == UNKNOWN)))
    total = int(np.count_nonzero(usable))
    return {"n": n, "share": n / total if total else None}


def _other_scores(frame: RunFrame) -> list[dict[str, Any]]:
    """Describe the scorers after the first, by name, one dict a setting."""
    others = {name: quality(frame, name) for name in list(frame.scores)[1:]}
    return [{name: rows[s] for name, rows in others.items()} for s in range(len(frame.setting_ids))]


def _value_counts(frame: RunFrame, column: str) -> list[dict[str, int]]:
    """Count the values of a text column in each setting, commonest first."""
    codes, names = frame.codes(column)
    out: list[dict[str, int]] = []
    for s in range(len(frame.setting_ids)):
        setting_codes = codes[frame.rows_of(s)]
        counts = np.bincount(setting_codes[setting_codes != UNKNOWN], minlength=len(names))
        top = sorted(np.flatnonzero(counts).tolist(), key=lambda i: (-counts[i], names[i]))
        out.append({names[i]: int(counts[i]) for i in top[:FINGERPRINTS]})
    return out
