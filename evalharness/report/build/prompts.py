"""One prompt in full: what was asked, and every different output with who gave it how often."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from evalharness.analysis.data.encode import Ints
from evalharness.analysis.data.frame import STATUSES, Frame
from evalharness.columnar.arrow_ops import where_equal
from evalharness.report.words.sanitize import common_prefix
from evalharness.store.folder.run import Run

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
    told = described(run, frame, list(cells))
    return [{**one, "worst": worst} for one, worst in zip(told, cells.values(), strict=True)]


def described(run: Run, frame: Frame, prompt_ids: Sequence[str], most: int = VARIANTS) -> list[Row]:
    """Some prompts with their outputs under all settings, ``most`` different ones of each.

    Raises:
        ValueError: the frame has no such prompt.
    """
    prompts = run.table("prompts")
    variants = variants_of(frame, [frame.prompt_ids.index(name) for name in prompt_ids], most)
    told: list[Row] = []
    for prompt_id, found in zip(prompt_ids, variants, strict=True):
        asked: Row = {"question": [], "target": None}
        stored = where_equal(prompts, "prompt_id", prompt_id).to_pylist()
        if stored:
            asked = {"question": _question(stored[0]), "target": _target(stored[0]["target_json"])}
        told.append({"prompt_id": prompt_id, **asked, **found})
    return told


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


def variants_of(frame: Frame, prompts: Sequence[int], most: int = VARIANTS) -> list[Row]:
    """The different outputs of some prompts over all settings, commonest first.

    Returns:
        One a prompt: ``variants``, at most ``most``, each with ``text`` (at most
        :data:`TEXT_CHARS`), ``chars``, ``status`` (of its first occurrence), ``count``,
        ``settings`` (ids and labels with counts) and ``first_difference_chars``, where it leaves
        the commonest one (null for that one); ``distinct``, how many there are in all;
        ``errors``, how many records are errors.
    """
    found = [_Variants.of(frame, prompt) for prompt in prompts]
    # All at once, since each look for texts goes through all the pieces that hold them.
    texts = iter(frame.said(np.array([row for one in found for row in one.first[:most]], int)))
    return [
        {
            "variants": _told(frame, one, list(islice(texts, len(one.first[:most])))),
            "distinct": len(one.first),
            "errors": one.errors,
        }
        for one in found
    ]


class _Variants(NamedTuple):
    """Different outputs of a prompt, commonest first, by place in the frame's order.

    Attributes:
        first: where each occurs first.
        counts: how often it occurs.
        rows: the records with a known output.
        errors: how many records are errors.
    """

    first: list[int]
    counts: list[int]
    rows: Ints
    errors: int

    @classmethod
    def of(cls, frame: Frame, prompt: int) -> _Variants:
        mine = np.flatnonzero(frame.prompt == prompt)
        rows = mine[frame.known[mine]]
        _, first, counts = np.unique(frame.output[rows], return_index=True, return_counts=True)
        order = np.lexsort((first, -counts))
        errors = int(np.count_nonzero(~frame.usable[mine]))
        return cls(rows[first[order]].tolist(), counts[order].tolist(), rows, errors)


def _told(frame: Frame, found: _Variants, texts: list[str]) -> list[Row]:
    variants: list[Row] = []
    for first, count, text in zip(found.first, found.counts, texts, strict=False):
        same = found.rows[frame.output[found.rows] == frame.output[first]]
        settings, by_setting = np.unique(frame.setting[same], return_counts=True)
        variants.append(
            {
                "text": text[:TEXT_CHARS],
                "chars": len(text),
                "status": STATUSES[int(frame.status[first])],
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
