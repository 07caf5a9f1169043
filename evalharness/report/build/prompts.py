"""Prompts in full: the question, and every different output with its counts by setting."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from evalharness.analysis.data.cell_means import cell_means
from evalharness.analysis.data.encode import Ints
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.output_texts import joined_text
from evalharness.analysis.data.statuses import STATUSES
from evalharness.columnar.arrow_ops import where_equal
from evalharness.report.words.sanitize import common_prefix
from evalharness.store.folder.run import Run

MAX_VARIANTS = 12  # different outputs listed for a prompt, commonest first
MAX_PAGE_VARIANTS = 200  # the same on a page of its own
MAX_TEXT_CHARS = 6_000  # of one text; ``chars`` is its whole length

Row = dict[str, Any]


def unstable_prompts(run: Run, frame: RunFrame, least_stable: list[Row]) -> list[Row]:
    """Describe the prompts of the least stable cells, each once, least stable first.

    Returns:
        One a prompt: ``prompt_id``; ``question`` (messages as ``{"role", "text", "chars"}``);
        ``target``; ``worst``, its cells among ``least_stable`` without their texts; ``variants``
        (see :func:`variants_of`), ``distinct``, how many there are in all, and ``errors``.
    """
    cells: dict[str, list[Row]] = {}
    for row in least_stable:
        cell = {k: row[k] for k in ("setting_id", "label", "n", "agreement", "distinct", "counts")}
        cells.setdefault(row["prompt_id"], []).append(cell)
    prompts = describe_prompts(run, frame, list(cells))
    return [
        {**prompt, "worst": worst} for prompt, worst in zip(prompts, cells.values(), strict=True)
    ]


def describe_prompts(
    run: Run, frame: RunFrame, prompt_ids: Sequence[str], limit: int = MAX_VARIANTS
) -> list[Row]:
    """Describe prompts with their outputs under all settings, at most ``limit`` outputs of each.

    Raises:
        ValueError: the frame has no such prompt.
    """
    prompts = run.table("prompts")
    outputs = variants_of(frame, [frame.prompt_ids.index(name) for name in prompt_ids], limit)
    rows: list[Row] = []
    for prompt_id, variants in zip(prompt_ids, outputs, strict=True):
        content: Row = {"question": [], "target": None}
        stored = where_equal(prompts, "prompt_id", prompt_id).to_pylist()
        if stored:
            prompt = stored[0]
            content = {"question": _question(prompt), "target": _target(prompt["target_json"])}
        rows.append({"prompt_id": prompt_id, **content, **variants})
    return rows


def outcomes_by_setting(frame: RunFrame, prompt_id: str) -> list[Row]:
    """Count the outputs of one prompt under each setting that has trials of it.

    Returns:
        One a setting, in the run's order: ``label``, ``n`` usable repeats, ``errors``,
        ``agreement`` (pairwise, null below two usable repeats), ``counts`` of its different
        outputs, commonest first.
    """
    prompt = frame.prompt_ids.index(prompt_id)
    agreement, trials = cell_means(frame, "agreement"), frame.counts()
    usable = frame.known & (frame.prompt == prompt)
    rows: list[Row] = []
    for setting in np.flatnonzero(trials[prompt]).tolist():
        repeats = usable & (frame.setting == setting)
        _, counts = np.unique(frame.output[repeats], return_counts=True)
        value = float(agreement[prompt, setting])
        rows.append(
            {
                "label": frame.label(setting),
                "n": int(np.count_nonzero(repeats)),
                "errors": int(trials[prompt, setting]) - int(np.count_nonzero(repeats)),
                "agreement": None if np.isnan(value) else value,
                "counts": sorted(counts.tolist(), reverse=True),
            }
        )
    return rows


def variants_of(frame: RunFrame, prompts: Sequence[int], limit: int = MAX_VARIANTS) -> list[Row]:
    """The different outputs of some prompts over all settings, commonest first.

    Returns:
        One a prompt: ``variants``, at most ``limit``, each with ``text`` (at most
        :data:`MAX_TEXT_CHARS`), ``chars``, ``status`` (of its first occurrence), ``count``,
        ``settings`` (ids and labels with counts) and ``first_difference_chars``, where it leaves
        the commonest one (null for that one); ``distinct``, how many there are in all;
        ``errors``, how many records are errors.
    """
    outputs = [_PromptOutputs.of(frame, prompt) for prompt in prompts]
    # All at once, because each call goes through all the chunks that hold texts.
    rows = np.array([row for output in outputs for row in output.first_rows[:limit]], int)
    texts = iter(joined_text(frame, rows))
    return [
        {
            "variants": _variant_rows(
                frame, output, list(islice(texts, len(output.first_rows[:limit])))
            ),
            "distinct": len(output.first_rows),
            "errors": output.errors,
        }
        for output in outputs
    ]


class _PromptOutputs(NamedTuple):
    """The different outputs of a prompt, commonest first.

    Attributes:
        first_rows: the row of the frame in which each occurs first.
        counts: how often each occurs.
        rows: the rows of the prompt with a known output.
        errors: how many records are errors.
    """

    first_rows: list[int]
    counts: list[int]
    rows: Ints
    errors: int

    @classmethod
    def of(cls, frame: RunFrame, prompt: int) -> _PromptOutputs:
        trials = np.flatnonzero(frame.prompt == prompt)
        rows = trials[frame.known[trials]]
        _, first, counts = np.unique(frame.output[rows], return_index=True, return_counts=True)
        order = np.lexsort((first, -counts))
        errors = int(np.count_nonzero(~frame.usable[trials]))
        return cls(rows[first[order]].tolist(), counts[order].tolist(), rows, errors)


def _variant_rows(frame: RunFrame, outputs: _PromptOutputs, texts: list[str]) -> list[Row]:
    variants: list[Row] = []
    for row, count, text in zip(outputs.first_rows, outputs.counts, texts, strict=False):
        same = outputs.rows[frame.output[outputs.rows] == frame.output[row]]
        settings, by_setting = np.unique(frame.setting[same], return_counts=True)
        variants.append(
            {
                "text": text[:MAX_TEXT_CHARS],
                "chars": len(text),
                "status": STATUSES[int(frame.status[row])],
                "count": count,
                "settings": [
                    {"setting_id": frame.setting_ids[s], "label": frame.label(s), "count": int(n)}
                    for s, n in zip(settings.tolist(), by_setting.tolist(), strict=True)
                ],
                "first_difference_chars": common_prefix(text, texts[0]) if variants else None,
            }
        )
    return variants


def _question(prompt: Row) -> list[Row]:
    if prompt["messages_json"] is None:
        text = prompt["fields_json"]
        if not text:
            return []
        return [{"role": "fields", "text": text[:MAX_TEXT_CHARS], "chars": len(text)}]
    messages: list[Row] = []
    for message in json.loads(prompt["messages_json"]):
        content = message.get("content")
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
        role = str(message["role"])
        messages.append({"role": role, "text": text[:MAX_TEXT_CHARS], "chars": len(text)})
    return messages


def _target(target_json: str | None) -> str | None:
    if target_json is None:
        return None
    target: Any = json.loads(target_json)
    return target if isinstance(target, str) else target_json
