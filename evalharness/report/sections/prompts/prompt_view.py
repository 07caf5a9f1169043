"""One prompt on a page: the question, the diff of its two commonest outputs, its outputs."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from evalharness.analysis.agreement.least_stable import TopOutput, UnstableCell
from evalharness.process.text import plural
from evalharness.report.build.prompt_variants import (
    MAX_TEXT_CHARS,
    PromptVariant,
    SettingOutcomes,
)
from evalharness.report.build.prompts import UnstablePrompt
from evalharness.report.html import excerpts
from evalharness.report.words.format_numbers import DASH, percent

_MAX_VARIANTS = 5  # shown in the report


class PromptSetting(msgspec.Struct, frozen=True):
    """A setting of the prompt: its agreement, how its repeats are split, usable ones, errors."""

    label: str
    agreement: str
    split: str
    n: int
    errors: int = 0


class VariantView(msgspec.Struct, frozen=True):
    """One output; it is ``marked`` where it leaves the commonest one."""

    count: int
    status: str
    settings: list[str]
    marked: bool
    text: excerpts.Excerpt
    empty: bool


class PromptView(msgspec.Struct, frozen=True, kw_only=True):
    """One prompt.

    Attributes:
        prompt_id: the prompt.
        question: roles and texts of its messages.
        target: the expected answer; None without one.
        headline: how many different outputs it has.
        cells: its settings.
        diff: the two commonest outputs word by word; empty where there are not two.
        diff_of: how often each of those two occurred.
        under: the setting of those two, as words to append.
        variants: its outputs, commonest first.
        more: how many outputs are not shown.
        errors: how many of its records are errors.
    """

    prompt_id: str
    question: list[tuple[str, excerpts.Excerpt]]
    target: str | None
    headline: str
    cells: list[PromptSetting]
    diff: list[excerpts.Piece]
    diff_of: tuple[str, str]
    under: str
    variants: list[VariantView]
    more: int
    errors: int


def prompt_view(prompt: UnstablePrompt, cell: UnstableCell | None) -> PromptView:
    """One prompt; ``cell`` is the one whose top two outputs are compared."""
    cells = [_prompt_setting(row.label, row.agreement, row.counts, row.n) for row in prompt.worst]
    top = [] if cell is None else cell.top
    under = "" if cell is None else f" under {cell.label}"
    return _prompt_view(prompt, cells, top, under, _MAX_VARIANTS, excerpts.AFTER)


def prompt_page_view(prompt: UnstablePrompt, settings: Sequence[SettingOutcomes]) -> PromptView:
    """A prompt on a page of its own: all its outputs in full, and its counts by setting."""
    cells = [
        _prompt_setting(row.label, row.agreement, row.counts, row.n, row.errors) for row in settings
    ]
    shown = len(prompt.variants)
    return _prompt_view(prompt, cells, prompt.variants[:2], "", shown, MAX_TEXT_CHARS)


def _prompt_setting(
    label: str, agreement: float | None, counts: Sequence[int], n: int, errors: int = 0
) -> PromptSetting:
    split = " + ".join(str(count) for count in counts) or DASH
    return PromptSetting(label, percent(agreement), split, n, errors)


def _prompt_view(
    prompt: UnstablePrompt,
    cells: list[PromptSetting],
    top: Sequence[TopOutput | PromptVariant],
    under: str,
    shown: int,
    after: int,
) -> PromptView:
    diff: list[excerpts.Piece] = []
    names = ("", "")
    if len(top) > 1:
        first, second = top[:2]
        diff = excerpts.word_diff(first.text[:after], second.text[:after])
        names = (_times(first), _times(second))
    variants = [_variant_view(variant, after) for variant in prompt.variants[:shown]]
    return PromptView(
        prompt_id=prompt.prompt_id,
        question=[
            (part.role, excerpts.excerpt(part.text, None, part.chars, after))
            for part in prompt.question
        ],
        target=prompt.target,
        headline=f"{plural(prompt.distinct, 'different output')} over all settings",
        cells=cells,
        diff=diff,
        diff_of=names,
        under=under,
        variants=variants,
        more=prompt.distinct - len(variants),
        errors=prompt.errors,
    )


def _times(output: TopOutput | PromptVariant) -> str:
    return f"{output.count}× ({output.status})"


def _variant_view(variant: PromptVariant, after: int) -> VariantView:
    return VariantView(
        count=variant.count,
        status=variant.status,
        settings=[f"{setting.label} ({setting.count}×)" for setting in variant.settings],
        marked=variant.first_difference_chars is not None,
        text=excerpts.excerpt(variant.text, variant.first_difference_chars, variant.chars, after),
        empty=variant.chars == 0,
    )
