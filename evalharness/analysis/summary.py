"""One row a setting: everything a report says about it on its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from evalharness.analysis.agreement.determinism import agreement, sensitivity
from evalharness.analysis.agreement.divergence import divergence
from evalharness.analysis.cost.usage import cost, tokens
from evalharness.analysis.data import json_values
from evalharness.analysis.data.encode import UNKNOWN
from evalharness.analysis.data.frame import STATUSES, Frame
from evalharness.analysis.data.statuses import ERROR
from evalharness.analysis.latency import latency
from evalharness.analysis.quality import quality

FINGERPRINTS = 20  # names listed; more are only counted


def summarise(frame: Frame) -> dict[str, Any]:
    """Return the ``settings`` part of ``report --json``: plain values, None for what is unknown.

    The one key is ``settings``, a list with one row a setting in the frame's order. Besides the
    documented keys a row has ``availability_ci95`` (Wilson), ``distinct``,
    ``status_share`` (of trials), ``unparsed`` (outputs without an answer, and their share),
    ``sensitivity``, ``divergence``, ``served_models`` and ``system_fingerprints`` seen, ``axes``,
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
        "tokens": tokens(frame),
        "cost_usd": cost(frame),
        "sensitivity": sensitivity(frame),
        "divergence": divergence(frame),
        "served_models": _seen(frame, "served_model"),
        "system_fingerprints": _seen(frame, "system_fingerprint"),
    }
    rows = [
        {**_trials(frame, s), **{name: column[s] for name, column in parts.items()}}
        for s in range(len(frame.setting_ids))
    ]
    return {"settings": rows}


def _trials(frame: Frame, setting: int) -> dict[str, Any]:
    """Say who the setting is and what became of its trials."""
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


def _unparsed(frame: Frame, rows: slice) -> dict[str, Any] | None:
    """Count the outputs from which no answer could be taken; None when none was looked for."""
    if frame.answer is None:
        return None
    usable = frame.usable[rows]
    n = int(np.count_nonzero(usable & (frame.answer[rows] == UNKNOWN)))
    total = int(np.count_nonzero(usable))
    return {"n": n, "share": n / total if total else None}


def _other_scores(frame: Frame) -> list[dict[str, Any]]:
    """Describe the scorers after the first, by name, one dict a setting."""
    others = {name: quality(frame, name) for name in list(frame.scores)[1:]}
    return [{name: rows[s] for name, rows in others.items()} for s in range(len(frame.setting_ids))]


def _seen(frame: Frame, column: str) -> list[dict[str, int]]:
    """Count the values of a text column in each setting, commonest first."""
    codes, names = frame.codes(column)
    out: list[dict[str, int]] = []
    for s in range(len(frame.setting_ids)):
        here = codes[frame.rows_of(s)]
        counts = np.bincount(here[here != UNKNOWN], minlength=len(names))
        top = sorted(np.flatnonzero(counts).tolist(), key=lambda i: (-counts[i], names[i]))
        out.append({names[i]: int(counts[i]) for i in top[:FINGERPRINTS]})
    return out
