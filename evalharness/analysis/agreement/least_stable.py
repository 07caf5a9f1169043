"""The prompts whose repeats agree least, with their commonest outputs."""

from __future__ import annotations

from typing import Any

import numpy as np

from evalharness.analysis.agreement.divergence import common_prefix
from evalharness.analysis.data import variants
from evalharness.analysis.data.encode import Ints
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.output_texts import joined_text
from evalharness.analysis.data.statuses import STATUSES

MAX_COUNTS = 10  # variants whose counts are listed for one prompt


def least_stable(frame: RunFrame, n: int = 20) -> list[dict[str, Any]]:
    """List the prompts whose repeats agree least, over all settings; only unstable ones.

    Returns:
        At most ``n``, ascending by pairwise agreement (then by more effective outputs): ids, the
        number of usable repeats ``n``, ``agreement``, ``distinct``, ``counts`` of the commonest
        variants, the two commonest as ``top`` (text, count, status, repeat of first occurrence)
        and ``first_difference_chars``, where those two first differ.

    """
    variants_of_run = frame.output_variants
    agreement = variants.pairwise_agreement(variants_of_run)
    effective = variants.effective_outputs(variants_of_run)
    cells = np.flatnonzero(agreement < 1.0)
    worst = cells[np.lexsort((-effective[cells], agreement[cells]))[:n]]
    return [
        {
            **_names(frame, int(cell)),
            "n": int(variants_of_run.n[cell]),
            "agreement": float(agreement[cell]),
            **_top_variants(frame, int(cell)),
        }
        for cell in worst
    ]


def _names(frame: RunFrame, cell: int) -> dict[str, Any]:
    setting, prompt = divmod(cell, len(frame.prompt_ids))
    return {
        "setting_id": frame.setting_ids[setting],
        "label": frame.label(setting),
        "prompt_id": frame.prompt_ids[prompt],
    }


def _top_variants(frame: RunFrame, cell: int) -> dict[str, Any]:
    variants_of_run = frame.output_variants
    start, stop = np.searchsorted(
        variants_of_run.cell, np.array([cell, cell + 1], variants_of_run.cell.dtype)
    )
    counts, firsts = variants_of_run.count[start:stop], variants_of_run.first[start:stop]
    order = np.argsort(-counts, kind="stable")
    rows: Ints = firsts[order[:2]]
    texts = joined_text(frame, rows)
    top = [
        {
            "text": text,
            "count": int(count),
            "status": STATUSES[int(frame.status[row])],
            "repeat": int(frame.repeat[row]),
        }
        for text, count, row in zip(texts, counts[order[:2]], rows, strict=True)
    ]
    return {
        "distinct": len(counts),
        "counts": counts[order[:MAX_COUNTS]].tolist(),
        "top": top,
        "first_difference_chars": common_prefix(texts[0], texts[1]),
    }
