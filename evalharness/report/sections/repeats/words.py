"""Sentences on repeats that part, and the table of the figures that papers report."""

from __future__ import annotations

from collections.abc import Sequence

from evalharness.analysis.agreement.prefix_length import PrefixLength
from evalharness.analysis.agreement.repeat_divergence import RepeatDivergence
from evalharness.analysis.logprobs.repeat_noise import RepeatNoise
from evalharness.process.text import plural
from evalharness.report.sections.logprobs.words import figures_text, logprob_text
from evalharness.report.words.format_numbers import DASH, strict_percent
from evalharness.report.words.plain_table import PlainTable
from evalharness.report.words.sanitize import one_line

HEADING = "How soon repeats part"
NOTE = (
    "unique: different outputs of a prompt, mean over prompts. Parts after: what the outputs of a "
    "prompt have in common, earliest and median of the prompts that part. Div_Index, Std@Acc, "
    "Avg_Std@Output_Length, Avg_Std@top1_prob: as Yuan et al. (arXiv 2506.09501) define them, with "
    "repeats in the place of configurations."
)
MAX_ROWS = 30
_MAX_NAME = 60


def divergence_sentence(row: RepeatDivergence) -> str:
    """How many outputs a prompt has, and where they part."""
    start = f"{one_line(row.label, _MAX_NAME)}: "
    size = f"{plural(row.prompts, 'prompt')} × {row.n} repeats"
    if not row.parted:
        return f"{start}one output for each prompt ({size})."
    unique = f"{_with_ends(row.unique, row.unique_ci95)} different outputs"
    text = f"{start}{unique} of a prompt on average ({size}); {plural(row.parted, 'prompt')} part"
    if row.words is not None:
        text += f", after {plural(row.words.earliest or 0, 'word')} at the earliest"
        text += f" and {_number(row.words.median)} in the median"
    return f"{text}."


def noise_sentence(row: RepeatNoise) -> str:
    """How far the log probabilities of repeats are apart."""
    start, figures = f"{one_line(row.label, _MAX_NAME)}: ", row.figures
    size = f"{figures.compared:,} compared, {plural(figures.prompts, 'prompt')}"
    if not figures.compared:
        return f"{start}not measurable here, because no token was named twice at an equal prefix."
    if figures.largest == 0.0:
        return f"{start}log probabilities of repeats are equal in every bit ({size})."
    return f"{start}of repeats {figures_text(figures)} ({size})."


def divergence_table(
    rows: Sequence[RepeatDivergence], noise: Sequence[RepeatNoise], limit: int = MAX_ROWS
) -> PlainTable:
    """One row a setting; columns that are unknown throughout are left out."""
    by_setting = {each.setting_id: each for each in noise}
    cells = [_cells(row, by_setting.get(row.setting_id)) for row in rows]
    headings = [
        "setting", "unique\n[95 % CI]", "of", "prompts\nparted", "parts after\nwords", "tokens",
        "Div_Index\n[95 % CI]", "Std@Acc\n[95 % CI]", "Avg_Std@\nOutput_Length",
        "Avg_Std@\ntop1_prob", "mean |Δ logprob|\nof repeats", "equal\nbits",
    ]  # fmt: skip
    known = [index for index in range(len(headings)) if any(line[index] != DASH for line in cells)]
    return PlainTable(
        HEADING,
        [headings[index] for index in known],
        [[line[index] for index in known] for line in cells[:limit]],
        max(0, len(cells) - limit),
    )


def _cells(row: RepeatDivergence, noise: RepeatNoise | None) -> list[str]:
    figures = None if noise is None else noise.figures
    return [
        one_line(row.label, _MAX_NAME),
        f"{_number(row.unique)} {_ends(row.unique_ci95)}".strip(),
        str(row.n),
        f"{row.parted:,} of {row.prompts:,}",
        _lengths(row.words),
        _lengths(row.tokens),
        _with_ends(row.div_index, row.div_index_ci95),
        _score_spread(row),
        _with_ends(row.std_tokens, row.std_tokens_ci95),
        DASH if noise is None else _with_ends(noise.top1_std, noise.top1_std_ci95),
        DASH if figures is None else logprob_text(figures.mean),
        DASH if figures is None or figures.equal is None else strict_percent(figures.equal),
    ]


def _score_spread(row: RepeatDivergence) -> str:
    if row.std_acc is None:
        return DASH
    return f"{_with_ends(row.std_acc, row.std_acc_ci95)} ({row.acc_prompts:,} × {row.acc_runs})"


def _lengths(length: PrefixLength | None) -> str:
    if length is None or length.earliest is None:
        return DASH
    return f"{length.earliest:,}, {_number(length.median)} {_ends(length.median_ci95)}".strip()


def _with_ends(value: float | None, ends: Sequence[float] | None) -> str:
    return DASH if value is None else f"{_number(value)} {_ends(ends)}".strip()


def _number(value: float | None) -> str:
    if value is None:
        return DASH
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.3g}"


def _ends(ends: Sequence[float] | None) -> str:
    return "" if ends is None else f"[{_number(ends[0])}, {_number(ends[1])}]"
