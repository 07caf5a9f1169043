"""The prompts behind a figure: the least stable ones with their outputs, and all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from evalharness.analysis.agreement.divergence import common_prefix
from evalharness.analysis.data import variants
from evalharness.analysis.data.encode import Ints
from evalharness.analysis.data.frame import STATUSES, Frame

LISTED = 10  # variants whose counts are listed for one prompt


def least_stable(frame: Frame, n: int = 20) -> list[dict[str, Any]]:
    """List the prompts whose repeats agree least, over all settings; stable ones never appear.

    Returns:
        At most ``n``, ascending by pairwise agreement (then by more effective outputs): ids, the
        number of usable repeats ``n``, ``agreement``, ``distinct``, ``counts`` of the commonest
        variants, the two commonest as ``top`` (text, count, status, repeat of first occurrence)
        and ``first_difference_chars``, where those two part.

    """
    counted = frame.output_variants
    agreement = variants.pairwise(counted)
    effective = variants.effective_outputs(counted)
    cells = np.flatnonzero(agreement < 1.0)
    worst = cells[np.lexsort((-effective[cells], agreement[cells]))[:n]]
    return [
        {
            **_names(frame, int(cell)),
            "n": int(counted.n[cell]),
            "agreement": float(agreement[cell]),
            **_top_variants(frame, int(cell)),
        }
        for cell in worst
    ]


def _names(frame: Frame, cell: int) -> dict[str, Any]:
    setting, prompt = divmod(cell, len(frame.prompt_ids))
    return {
        "setting_id": frame.setting_ids[setting],
        "label": frame.label(setting),
        "prompt_id": frame.prompt_ids[prompt],
    }


def _top_variants(frame: Frame, cell: int) -> dict[str, Any]:
    counted = frame.output_variants
    start, stop = np.searchsorted(counted.cell, np.array([cell, cell + 1], counted.cell.dtype))
    counts, firsts = counted.count[start:stop], counted.first[start:stop]
    order = np.argsort(-counts, kind="stable")
    rows: Ints = firsts[order[:2]]
    said = frame.said(rows)
    top = [
        {
            "text": text,
            "count": int(count),
            "status": STATUSES[int(frame.status[row])],
            "repeat": int(frame.repeat[row]),
        }
        for text, count, row in zip(said, counts[order[:2]], rows, strict=True)
    ]
    return {
        "distinct": len(counts),
        "counts": counts[order[:LISTED]].tolist(),
        "top": top,
        "first_difference_chars": common_prefix(said[0], said[1]),
    }


def prompt_table(frame: Frame, setting: int | str) -> dict[str, npt.NDArray[Any]]:
    """Return each prompt's own values under one setting, as columns of equal length.

    Prompts that were never tried under the setting are left out. NaN is undefined.
    """
    s = frame.index(setting)
    counted = frame.output_variants
    trials = frame.counts()[:, s]
    tried = trials > 0
    columns: dict[str, npt.NDArray[Any]] = {
        "prompt_id": np.array(frame.prompt_ids, dtype=object),
        "trials": trials,
        "errors": frame.counts("error")[:, s],
        "n": frame.matrix(counted.n)[:, s],
        "agreement": frame.per_prompt("agreement")[:, s],
        "agreement_answer": frame.per_prompt("agreement_answer")[:, s],
        "modal_share": frame.matrix(variants.modal_share(counted))[:, s],
        "distinct": frame.matrix(variants.distinct(counted))[:, s],
        "effective_outputs": frame.matrix(variants.effective_outputs(counted))[:, s],
        "score": frame.per_prompt("score")[:, s],
    }
    return {name: column[tried] for name, column in columns.items()}
