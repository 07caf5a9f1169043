"""Reasoning in a text is told from what the text says, and is neither scored nor searched."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.columnar.record_store import RecordStore
from evalharness.errors import ConfigError
from evalharness.scoring import parse_answer_spec, parse_reasoning, parse_scoring
from evalharness.scoring.reasoning import split_reasoning, without_reasoning
from evalharness.scoring.run_scores import RunScores, score_records

HARMONY = "<|channel|>analysis<|message|>Oslo?<|end|><|start|>assistant<|channel|>final<|message|>"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<think>Oslo?</think>Bern", "Bern"),
        ("\n<THINK>Oslo?</THINK>\n\nBern", "Bern"),
        ("<thinking kind='long'>Oslo?</thinking> Bern", "Bern"),
        ("<reasoning>Oslo?</reasoning>Bern", "Bern"),
        ("[THINK]Oslo?[/THINK]Bern", "Bern"),
        ("<think>Oslo?</think><think>Rome?</think>Bern", "Bern"),
        ("<think>I may write <think> here</think>Bern", "Bern"),
        ("<think>a<think>b</think>Oslo</think>Bern", "Bern"),
        ("<think/>Bern", "Bern"),
        ("◁think▷Oslo?◁/think▷Bern", "Bern"),
        ("<|channel>thought\nOslo?<channel|>Bern", "Bern"),
        (f"{HARMONY}Bern<|return|>", "Bern"),
        ("analysisOslo?assistantfinalBern", "Bern"),
        # The template had opened the block in the prompt.
        ("Oslo? No.\n</think>\n\nBern", "Bern"),
        ("Oslo? No.</think>Bern", "Bern"),
        ("Oslo? No.</thinking>Bern", "Bern"),
        ("Oslo? No.\n</reasoning>\nBern", "Bern"),
        ("Oslo? No.[/THINK]Bern", "Bern"),
        ("[REASONING]Oslo?[/REASONING]Bern", "Bern"),
        ("assistantanalysisOslo?assistantfinalBern", "Bern"),
    ],
)
def test_what_is_said_comes_after_the_reasoning(text: str, said: str) -> None:
    parts = split_reasoning(text)
    assert (parts.rest, parts.has_reasoning, parts.closed) == (said, True, True)


@pytest.mark.parametrize(
    "text", ["<think>It is Bern", "[THINK]Bern", "<|channel|>analysis<|message|>Bern"]
)
def test_reasoning_that_was_cut_off_says_nothing(text: str) -> None:
    parts = split_reasoning(text)
    assert (parts.rest, parts.has_reasoning, parts.closed) == ("", True, False)


@pytest.mark.parametrize(
    "text",
    [
        "Bern",
        "",
        "The tag <think> begins a thought, and </think> ends it.",
        "The tag </think> ends a thought.",
        "The tag [/THINK] ends a thought.",
        "So <thinking kind='x'>Oslo?</thinking>Bern",
        "Write `</think>` last.",
        "<thinker>Bern</thinker>",
        "analysis of Bern",
    ],
)
def test_a_tag_later_on_is_text(text: str) -> None:
    parts = split_reasoning(text)
    assert (parts.rest, parts.has_reasoning) == (text, False)


@given(st.lists(st.sampled_from(["<think>", "</think>", "[THINK]", "\n", " ", "x", "<|channel|>"])))
def test_what_remains_is_the_end_of_the_text_and_has_no_block_before_it(parts: list[str]) -> None:
    text = "".join(parts)
    rest = without_reasoning(text)
    assert text.endswith(rest) or "<|channel|>" in text
    assert not rest.lstrip().startswith(("<think>", "[THINK]")) or "<|channel|>" in text


def _scores(texts: list[str | None], spec: Any) -> RunScores:
    records = RecordStore.of_table(
        pa.table(
            {
                "prompt_id": ["p"] * len(texts),
                "status": ["ok"] * len(texts),
                "text": pa.array(texts, pa.string()),
            }
        )
    )
    prompts = pa.table({"prompt_id": ["p"], "target_json": ['"7"']})
    return score_records(
        records,
        prompts,
        parse_scoring([{"name": "includes"}]),
        parse_answer_spec(spec),
        reasoning=parse_reasoning(spec),
    )


def _answers(scores: RunScores) -> list[str | None]:
    answers: Any = scores.answers
    return answers.to_pylist()


def test_a_thought_is_not_credited_unless_it_is_kept() -> None:
    """The texts are scored and searched without it, and it is counted either way."""
    texts = ["<think>7?</think>It is 8", "<think>It is 7", "7", None]
    stripped = _scores(texts, "last_number")
    assert stripped.scores["includes"].tolist() == [0, 0, 1, 0]
    assert _answers(stripped) == ["8", None, "7", None]
    assert stripped.reasoning == ("strip", 3, 2, 1)
    assert stripped.explain("includes", 0).value == 0
    kept = _scores(texts, {"last_number": True, "reasoning": "keep"})
    assert kept.scores["includes"].tolist() == [1, 1, 1, 0]
    assert _answers(kept) == ["8", "7", "7", None]
    assert kept.reasoning == ("keep", 3, 2, 1)
    assert kept.explain("includes", 0).value == 1


def test_reasoning_alone_extracts_nothing() -> None:
    assert parse_answer_spec({"reasoning": "keep"}) is None
    assert parse_reasoning({"reasoning": "keep"}) == "keep"
    assert parse_reasoning("last_number") == parse_reasoning(None) == "strip"
    with pytest.raises(ConfigError, match="reasoning"):
        parse_answer_spec({"reasoning": "hide"})
