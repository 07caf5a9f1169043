"""One prompt in full: what was asked, and every different output with who gave it how often."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from evalharness.analysis.frame import STATUSES, Frame
from evalharness.arrow import where_equal
from evalharness.report.text import common_prefix
from evalharness.store.run import Run

VARIANTS = 12  # different outputs kept for one prompt, commonest first
PAGE_VARIANTS = 200  # the same on a page of its own
TEXT_CHARS = 6_000  # kept of one text; ``chars`` has its whole length

Row = dict[str, Any]


def unstable_prompts(run: Run, frame: Frame, least_stable: list[Row]) -> list[Row]:
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
    return [
        {**describe(run, frame, prompt_id), "worst": worst} for prompt_id, worst in cells.items()
    ]


def describe(run: Run, frame: Frame, prompt_id: str, most: int = VARIANTS) -> Row:
    """One prompt with its outputs under all settings, ``most`` different ones.

    Raises:
        ValueError: the frame has no such prompt.
    """
    asked: Row = {"question": [], "target": None}
    found = where_equal(run.table("prompts"), "prompt_id", prompt_id).to_pylist()
    if found:
        asked = {"question": _question(found[0]), "target": _target(found[0]["target_json"])}
    variants, distinct, errors = variants_of(frame, frame.prompt_ids.index(prompt_id), most)
    return {
        "prompt_id": prompt_id,
        **asked,
        "variants": variants,
        "distinct": distinct,
        "errors": errors,
    }


def by_setting(frame: Frame, prompt_id: str) -> list[Row]:
    """How one prompt fared under each setting it was tried under.

    Returns:
        One a setting, in the run's order: ``label``, ``n`` usable repeats, ``errors``,
        ``agreement`` (pairwise, null below two usable repeats), ``counts`` of its different
        outputs, commonest first.
    """
    place = frame.prompt_ids.index(prompt_id)
    agreement, tried = frame.per_prompt("agreement"), frame.counts()
    usable = frame.known & (frame.prompt == place)
    rows: list[Row] = []
    for setting in np.flatnonzero(tried[place]).tolist():
        mine = usable & (frame.setting == setting)
        _, counts = np.unique(frame.output[mine], return_counts=True)
        value = float(agreement[place, setting])
        rows.append(
            {
                "label": frame.label(setting),
                "n": int(np.count_nonzero(mine)),
                "errors": int(tried[place, setting]) - int(np.count_nonzero(mine)),
                "agreement": None if np.isnan(value) else value,
                "counts": sorted(counts.tolist(), reverse=True),
            }
        )
    return rows


def variants_of(frame: Frame, prompt: int, most: int = VARIANTS) -> tuple[list[Row], int, int]:
    """The different outputs of a prompt over all settings, commonest first.

    Returns:
        ``variants``: at most ``most``, each with ``text`` (at most :data:`TEXT_CHARS`),
        ``chars``, ``status`` (of its first occurrence), ``count``, ``settings`` (ids and labels
        with counts) and ``first_difference_chars``, where it leaves the commonest one (null for
        that one); how many there are in all; how many records are errors.
    """
    mine = np.flatnonzero(frame.prompt == prompt)
    rows = mine[frame.known[mine]]
    codes, first, counts = np.unique(frame.output[rows], return_index=True, return_counts=True)
    order = np.lexsort((first, -counts))
    texts = frame.said(rows[first[order[:most]]])
    variants: list[Row] = []
    for place, text in zip(order, texts, strict=False):
        same = rows[frame.output[rows] == codes[place]]
        settings, by_setting = np.unique(frame.setting[same], return_counts=True)
        variants.append(
            {
                "text": text[:TEXT_CHARS],
                "chars": len(text),
                "status": STATUSES[int(frame.status[same[0]])],
                "count": int(counts[place]),
                "settings": [
                    {"setting_id": frame.setting_ids[s], "label": frame.label(s), "count": int(n)}
                    for s, n in zip(settings.tolist(), by_setting.tolist(), strict=True)
                ],
                "first_difference_chars": common_prefix(text, texts[0]) if variants else None,
            }
        )
    return variants, len(codes), int(np.count_nonzero(~frame.usable[mine]))


def _question(prompt: Row) -> list[Row]:
    if prompt["messages_json"] is None:
        text = prompt["fields_json"]
        if not text:
            return []
        return [{"role": "fields", "text": text[:TEXT_CHARS], "chars": len(text)}]
    asked: list[Row] = []
    for message in json.loads(prompt["messages_json"]):
        content = message.get("content")
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
        asked.append({"role": str(message["role"]), "text": text[:TEXT_CHARS], "chars": len(text)})
    return asked


def _target(target_json: str | None) -> str | None:
    if target_json is None:
        return None
    target: Any = json.loads(target_json)
    return target if isinstance(target, str) else target_json
