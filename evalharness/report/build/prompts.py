"""Prompts in full: the question, and every different output with its counts by setting."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from evalharness.analysis.agreement.least_stable import UnstableCell
from evalharness.analysis.data.frame import RunFrame
from evalharness.columnar.arrow_ops import where_equal
from evalharness.records import shown_content, with_places
from evalharness.report.build.prompt_variants import (
    MAX_TEXT_CHARS,
    MAX_VARIANTS,
    PromptVariant,
    variants_of,
)
from evalharness.store.folder.run import Run


class QuestionPart(msgspec.Struct, frozen=True, kw_only=True):
    """A message of a prompt.

    Attributes:
        role: of the message; ``fields`` for the fields of an import without messages.
        text: its text, at most 6,000 characters of it.
        chars: characters of the whole text.
    """

    role: str
    text: str
    chars: int


class WorstCell(msgspec.Struct, frozen=True, kw_only=True):
    """A setting under which a prompt is among the least stable.

    Attributes:
        setting_id, label: the setting.
        n: usable repeats.
        agreement: pairwise agreement of the repeats.
        distinct: how many different outputs there are.
        counts: of the commonest different outputs, at most ten, commonest first.
    """

    setting_id: str
    label: str
    n: int
    agreement: float
    distinct: int
    counts: list[int]


class UnstablePrompt(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt with its different outputs over all settings.

    Attributes:
        prompt_id: the prompt.
        question: its messages.
        target: the expected answer; null without one.
        variants: its different outputs, commonest first, at most twelve (200 on a page of its own).
        distinct: how many different outputs there are in all.
        errors: how many of its records are errors.
        worst: the settings under which it is among the least stable, least stable first.
    """

    prompt_id: str
    question: list[QuestionPart]
    target: str | None
    variants: list[PromptVariant]
    distinct: int
    errors: int
    worst: list[WorstCell]


def unstable_prompts(
    run: Run, frame: RunFrame, least_stable: Sequence[UnstableCell]
) -> list[UnstablePrompt]:
    """Describe the prompts of the least stable cells, each once, least stable first."""
    cells: dict[str, list[WorstCell]] = {}
    for cell in least_stable:
        worst = WorstCell(
            setting_id=cell.setting_id,
            label=cell.label,
            n=cell.n,
            agreement=cell.agreement,
            distinct=cell.distinct,
            counts=cell.counts,
        )
        cells.setdefault(cell.prompt_id, []).append(worst)
    prompts = describe_prompts(run, frame, list(cells))
    return [
        msgspec.structs.replace(prompt, worst=worst)
        for prompt, worst in zip(prompts, cells.values(), strict=True)
    ]


def describe_prompts(
    run: Run, frame: RunFrame, prompt_ids: Sequence[str], limit: int = MAX_VARIANTS
) -> list[UnstablePrompt]:
    """Describe prompts with their outputs under all settings, at most ``limit`` outputs of each.

    ``worst`` of each is empty.

    Raises:
        ValueError: the frame has no such prompt.
    """
    prompts = run.table("prompts")
    outputs = variants_of(frame, [frame.prompt_ids.index(name) for name in prompt_ids], limit)
    described: list[UnstablePrompt] = []
    for prompt_id, (variants, distinct, errors) in zip(prompt_ids, outputs, strict=True):
        stored = where_equal(prompts, "prompt_id", prompt_id).to_pylist()
        messages, fields, target, turn = (
            stored[0][name] if stored else None
            for name in ("messages_json", "fields_json", "target_json", "turn")
        )
        prompt = UnstablePrompt(
            prompt_id=prompt_id,
            question=_question(messages, fields, turn),
            target=_target(target),
            variants=variants,
            distinct=distinct,
            errors=errors,
            worst=[],
        )
        described.append(prompt)
    return described


def _question(
    messages_json: str | None, fields_json: str | None, turn: int | None
) -> list[QuestionPart]:
    if messages_json is None:
        return [_question_part("fields", fields_json)] if fields_json else []
    parts: list[QuestionPart] = []
    for message in with_places(json.loads(messages_json), turn):
        content = shown_content(message.get("content"))
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
        parts.append(_question_part(str(message["role"]), text))
    return parts


def _question_part(role: str, text: str) -> QuestionPart:
    return QuestionPart(role=role, text=text[:MAX_TEXT_CHARS], chars=len(text))


def _target(target_json: str | None) -> str | None:
    if target_json is None:
        return None
    target: Any = json.loads(target_json)
    return target if isinstance(target, str) else target_json
