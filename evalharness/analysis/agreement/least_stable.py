"""The prompts whose repeats agree least, with their commonest outputs."""

from __future__ import annotations

import msgspec
import numpy as np

from evalharness.analysis.agreement.divergence import common_prefix
from evalharness.analysis.data import variants
from evalharness.analysis.data.encode import Ints
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.output_texts import joined_text
from evalharness.analysis.data.statuses import STATUSES

MAX_COUNTS = 10  # variants whose counts are listed for one prompt


class TopOutput(msgspec.Struct, frozen=True, kw_only=True):
    """One of the commonest outputs of a prompt under one setting.

    Attributes:
        text: the whole text.
        count: how many repeats gave it.
        status: of its first occurrence.
        repeat: the repeat of its first occurrence.
    """

    text: str
    count: int
    status: str
    repeat: int


class UnstableCell(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt under one setting whose repeats are not all alike.

    Attributes:
        setting_id, label: the setting.
        prompt_id: the prompt.
        n: usable repeats.
        agreement: pairwise agreement of the repeats.
        distinct: how many different outputs there are.
        counts: of the commonest different outputs, at most ten, commonest first.
        top: the two commonest outputs.
        first_difference_chars: where those two first differ, in characters from the start.
    """

    setting_id: str
    label: str
    prompt_id: str
    n: int
    agreement: float
    distinct: int
    counts: list[int]
    top: list[TopOutput]
    first_difference_chars: int


def least_stable(frame: RunFrame, n: int = 20) -> list[UnstableCell]:
    """List the prompts whose repeats agree least, over all settings; only unstable ones.

    Returns:
        At most ``n``, ascending by pairwise agreement (then by more effective outputs).

    """
    variants_of_run = frame.output_variants
    agreement = variants.pairwise_agreement(variants_of_run)
    effective = variants.effective_outputs(variants_of_run)
    cells = np.flatnonzero(agreement < 1.0)
    worst = cells[np.lexsort((-effective[cells], agreement[cells]))[:n]]
    return [
        _unstable_cell(frame, int(cell), int(variants_of_run.n[cell]), float(agreement[cell]))
        for cell in worst
    ]


def _unstable_cell(frame: RunFrame, cell: int, n: int, agreement: float) -> UnstableCell:
    setting, prompt = divmod(cell, len(frame.prompt_ids))
    variants_of_run = frame.output_variants
    start, stop = np.searchsorted(
        variants_of_run.cell, np.array([cell, cell + 1], variants_of_run.cell.dtype)
    )
    counts, firsts = variants_of_run.count[start:stop], variants_of_run.first[start:stop]
    order = np.argsort(-counts, kind="stable")
    rows: Ints = firsts[order[:2]]
    texts = joined_text(frame, rows)
    return UnstableCell(
        setting_id=frame.setting_ids[setting],
        label=frame.label(setting),
        prompt_id=frame.prompt_ids[prompt],
        n=n,
        agreement=agreement,
        distinct=len(counts),
        counts=counts[order[:MAX_COUNTS]].tolist(),
        top=[
            TopOutput(
                text=text,
                count=int(count),
                status=STATUSES[int(frame.status[row])],
                repeat=int(frame.repeat[row]),
            )
            for text, count, row in zip(texts, counts[order[:2]], rows, strict=True)
        ],
        first_difference_chars=common_prefix(texts[0], texts[1]),
    )
