"""The different outputs of a prompt, with their counts by setting."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

import msgspec
import numpy as np

from evalharness.analysis.data.cell_means import cell_means
from evalharness.analysis.data.encode import Ints
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.output_texts import joined_text
from evalharness.analysis.data.statuses import STATUSES
from evalharness.report.words.sanitize import common_prefix

MAX_VARIANTS = 12  # different outputs listed for a prompt, commonest first
MAX_PAGE_VARIANTS = 200  # the same on a page of its own
MAX_TEXT_CHARS = 6_000  # of one text; ``chars`` is its whole length


class VariantSetting(msgspec.Struct, frozen=True, kw_only=True):
    """A setting under which an output occurred.

    Attributes:
        setting_id, label: the setting.
        count: how often the output occurred under it.
    """

    setting_id: str
    label: str
    count: int


class PromptVariant(msgspec.Struct, frozen=True, kw_only=True):
    """One of the different outputs of a prompt.

    Attributes:
        text: at most 6,000 characters of it.
        chars: characters of the whole text.
        status: of its first occurrence.
        count: how often it occurred, over all settings.
        settings: where it occurred, in the run's order.
        first_difference_chars: where it leaves the commonest output, in characters from the start;
            null for that one.
    """

    text: str
    chars: int
    status: str
    count: int
    settings: list[VariantSetting]
    first_difference_chars: int | None


class SettingOutcomes(NamedTuple):
    """The outputs of one prompt under one setting.

    Attributes:
        label: of the setting.
        n: usable repeats.
        errors: records that are errors.
        agreement: pairwise; None below two usable repeats.
        counts: of the different outputs, commonest first.
    """

    label: str
    n: int
    errors: int
    agreement: float | None
    counts: list[int]


class PromptOutputs(NamedTuple):
    """The different outputs of a prompt over all settings.

    Attributes:
        variants: the commonest of them, commonest first.
        distinct: how many there are in all.
        errors: how many records are errors.
    """

    variants: list[PromptVariant]
    distinct: int
    errors: int


def outcomes_by_setting(frame: RunFrame, prompt_id: str) -> list[SettingOutcomes]:
    """Count the outputs of one prompt under each setting that has trials of it, in their order."""
    prompt = frame.prompt_ids.index(prompt_id)
    agreement, trials = cell_means(frame, "agreement"), frame.counts()
    usable = frame.known & (frame.prompt == prompt)
    rows: list[SettingOutcomes] = []
    for setting in np.flatnonzero(trials[prompt]).tolist():
        repeats = usable & (frame.setting == setting)
        _, counts = np.unique(frame.output[repeats], return_counts=True)
        value = float(agreement[prompt, setting])
        rows.append(
            SettingOutcomes(
                label=frame.label(setting),
                n=int(np.count_nonzero(repeats)),
                errors=int(trials[prompt, setting]) - int(np.count_nonzero(repeats)),
                agreement=None if np.isnan(value) else value,
                counts=sorted(counts.tolist(), reverse=True),
            )
        )
    return rows


def variants_of(
    frame: RunFrame, prompts: Sequence[int], limit: int = MAX_VARIANTS
) -> list[PromptOutputs]:
    """The different outputs of some prompts over all settings, at most ``limit`` of each prompt."""
    outputs = [_OutputRows.of(frame, prompt) for prompt in prompts]
    # All at once, because each call goes through all the chunks that hold texts.
    rows = np.array([row for output in outputs for row in output.first_rows[:limit]], int)
    texts = iter(joined_text(frame, rows))
    return [
        PromptOutputs(
            _variants(frame, output, list(islice(texts, len(output.first_rows[:limit])))),
            distinct=len(output.first_rows),
            errors=output.errors,
        )
        for output in outputs
    ]


class _OutputRows(NamedTuple):
    """Where the different outputs of a prompt are, commonest first.

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
    def of(cls, frame: RunFrame, prompt: int) -> _OutputRows:
        trials = np.flatnonzero(frame.prompt == prompt)
        rows = trials[frame.known[trials]]
        _, first, counts = np.unique(frame.output[rows], return_index=True, return_counts=True)
        order = np.lexsort((first, -counts))
        errors = int(np.count_nonzero(~frame.usable[trials]))
        return cls(rows[first[order]].tolist(), counts[order].tolist(), rows, errors)


def _variants(frame: RunFrame, outputs: _OutputRows, texts: list[str]) -> list[PromptVariant]:
    variants: list[PromptVariant] = []
    for row, count, text in zip(outputs.first_rows, outputs.counts, texts, strict=False):
        same = outputs.rows[frame.output[outputs.rows] == frame.output[row]]
        settings, by_setting = np.unique(frame.setting[same], return_counts=True)
        variants.append(
            PromptVariant(
                text=text[:MAX_TEXT_CHARS],
                chars=len(text),
                status=STATUSES[int(frame.status[row])],
                count=count,
                settings=[
                    VariantSetting(
                        setting_id=frame.setting_ids[int(s)],
                        label=frame.label(int(s)),
                        count=int(n),
                    )
                    for s, n in zip(settings.tolist(), by_setting.tolist(), strict=True)
                ],
                first_difference_chars=common_prefix(text, texts[0]) if variants else None,
            )
        )
    return variants
