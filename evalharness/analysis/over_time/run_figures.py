"""What is kept of each run for figures over time: a value a prompt, setting and metric."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from evalharness.analysis.data.cell_means import cell_means
from evalharness.analysis.data.encode import Floats
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.metrics import ERROR_SHARE
from evalharness.analysis.data.output_texts import output_hashes
from evalharness.analysis.over_time.first_tokens import (
    commonest_tokens,
    first_tokens,
    mean_logprobs,
)

#: The chance that an output is, byte for byte, one of the reference run for the same prompt.
SAME_TEXT = "same_text_across"
#: The mean log-probability of the reference run's first token (:mod:`.first_tokens`).
FIRST_LOGPROB = "first_token_logprob_across"
ACROSS = (SAME_TEXT, FIRST_LOGPROB)
METRICS = (
    "score", "agreement", "agreement_answer", SAME_TEXT, FIRST_LOGPROB, ERROR_SHARE, "latency_s",
    "ttft_s", "completion_tokens", "cost_usd",
)  # fmt: skip

#: Outputs of each prompt and setting: how many there are of each text, by its hash.
Outputs = dict[tuple[str, str], dict[int, int]]


class Reference(NamedTuple):
    """What is kept of the run that others are compared with.

    Attributes:
        outputs: its outputs.
        tokens: the commonest first token of its outputs with logprobs, by prompt and setting key.
        settings: the keys of its settings, also of those without any output.
    """

    settings: list[str]
    outputs: Outputs
    tokens: dict[tuple[str, str], str]


class RunFigures(NamedTuple):
    """One run of a series.

    Attributes:
        run: its name.
        at: when its first request was sent, in seconds since the epoch; else when it was made.
        dated: whether its records have a time, so that ``at`` is of them.
        settings: label by key; settings of two runs with equal parameters have equal keys.
        prompts: keys of the prompts: id and content, so that a changed prompt is another one.
        clusters: the cluster of each prompt, or its own key where it names none; None without any.
        values: prompts × settings by metric, NaN unknown; a metric without any value is absent.
    """

    run: str
    at: float
    dated: bool
    settings: dict[str, str]
    prompts: list[str]
    clusters: list[str] | None
    values: dict[str, Floats]


def run_figures(
    run: str,
    frame: RunFrame,
    *,
    made_at: float,
    contents: Mapping[str, str],
    clusters: Mapping[str, str],
    reference: Reference | None,
) -> RunFigures:
    """Reduce a run to its figures.

    Args:
        run: its name.
        frame: its records.
        made_at: seconds since the epoch, for a run whose records have no time.
        contents: a hash of the content of each prompt, by id.
        clusters: of the prompts that name one, by id.
        reference: what is kept of the reference run; None for that run itself.
    """
    keys = _setting_keys(frame)
    prompts = [f"{name}\0{contents.get(name, '')}" for name in frame.prompt_ids]
    values = {metric: cell_means(frame, metric) for metric in METRICS if metric not in ACROSS}
    if reference is not None:
        own = _outputs(frame, prompts, keys)
        values[SAME_TEXT] = _same_texts(own, reference, prompts, keys)
        if reference.tokens:
            values[FIRST_LOGPROB] = _first_tokens(frame, reference, prompts, keys)
    sent_at = frame.values("sent_at")
    known = sent_at[~np.isnan(sent_at)]
    return RunFigures(
        run=run,
        at=float(known.min()) if len(known) else made_at,
        dated=len(known) > 0,
        settings={key: frame.label(s) for s, key in enumerate(keys)},
        prompts=prompts,
        clusters=[clusters.get(name, prompts[i]) for i, name in enumerate(frame.prompt_ids)]
        if clusters
        else None,
        values={name: each for name, each in values.items() if not np.isnan(each).all()},
    )


def _setting_keys(frame: RunFrame) -> list[str]:
    return [
        json.dumps(frame.params(setting), sort_keys=True, ensure_ascii=False, default=str)
        for setting in range(len(frame.setting_ids))
    ]


def reference_of(frame: RunFrame, prompts: Sequence[str]) -> Reference:
    """What is kept of the reference run; ``prompts`` are its prompt keys."""
    keys = _setting_keys(frame)
    commonest = commonest_tokens(first_tokens(frame), frame)
    tokens = {(prompts[p], keys[s]): token for (p, s), token in commonest.items()}
    return Reference(keys, _outputs(frame, prompts, keys), tokens)


def _outputs(frame: RunFrame, prompts: Sequence[str], settings: Sequence[str]) -> Outputs:
    """The outputs of a run, errors left out, by prompt key and setting key."""
    variants = frame.output_variants
    hashes: list[int] = output_hashes(frame, variants.first).tolist()
    cells: list[int] = variants.cell.tolist()
    by_cell: Outputs = {}
    for cell, text, count in zip(cells, hashes, variants.count.tolist(), strict=True):
        setting, prompt = divmod(cell, len(prompts))
        outputs = by_cell.setdefault((prompts[prompt], settings[setting]), {})
        outputs[text] = outputs.get(text, 0) + count
    return by_cell


def _first_tokens(
    frame: RunFrame,
    reference: Reference,
    prompts: Sequence[str],
    settings: Sequence[str],
) -> Floats:
    """The mean log-probability of the reference's first token in each cell."""
    alone = _only_setting(reference, settings)
    wanted = {
        (p, s): token
        for p, prompt in enumerate(prompts)
        for s, setting in enumerate(settings)
        if (token := reference.tokens.get((prompt, alone or setting))) is not None
    }
    return mean_logprobs(first_tokens(frame), frame, wanted)


def _only_setting(reference: Reference, settings: Sequence[str]) -> str | None:
    """The setting of a reference of one, which a run of one is measured against, whatever it is."""
    return reference.settings[0] if len(reference.settings) == len(settings) == 1 else None


def _same_texts(
    own: Outputs, reference: Reference, prompts: Sequence[str], settings: Sequence[str]
) -> Floats:
    """The chance of equal texts in each cell, over all pairs of an output here and one there."""
    shares = np.full((len(prompts), len(settings)), np.nan)
    alone = _only_setting(reference, settings)
    for p, prompt in enumerate(prompts):
        for s, setting in enumerate(settings):
            left: dict[int, int] = own.get((prompt, setting), {})
            right: dict[int, int] = reference.outputs.get((prompt, alone or setting), {})
            pairs = sum(left.values()) * sum(right.values())
            if pairs:
                equal = sum(count * right.get(text, 0) for text, count in left.items())
                shares[p, s] = equal / pairs
    return shares


def values_by_prompt(
    run: RunFigures, metric: str, setting: str, row_of: Mapping[str, int]
) -> tuple[Any, Floats]:
    """Rows, and the values that a run has there, of one metric and setting."""
    column = list(run.settings).index(setting)
    rows = np.array([row_of[prompt] for prompt in run.prompts], dtype=np.int64)
    return rows, run.values[metric][:, column]
