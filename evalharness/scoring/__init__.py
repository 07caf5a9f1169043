"""Scorers: how an output is scored against the target of its prompt.

A scorer is a frozen value; its fields are its arguments. A new one is one file and one line in
:data:`TABLE`. :func:`parse_scoring` reads the ``scoring`` list of a configuration,
:func:`parse_answer_spec` the ``answer`` part; :func:`.run_scores.score_records` applies both to the
records of a run, and is imported from there since it needs numpy. ``docs/scorers.md`` is the page
for users.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from evalharness.scoring.answer_extraction import (
    ExtractionResult,
    Extractor,
    parse_answer_spec,
    parse_reasoning,
)
from evalharness.scoring.base import Sample, Score, Scorer, UnscorableError
from evalharness.scoring.config_parsing import parse_scorers
from evalharness.scoring.scorers.bleu import BleuScorer
from evalharness.scoring.scorers.checks import ChecksScorer
from evalharness.scoring.scorers.choice import ChoiceScorer
from evalharness.scoring.scorers.exact import ExactScorer
from evalharness.scoring.scorers.f1 import F1Scorer
from evalharness.scoring.scorers.human import HumanScorer
from evalharness.scoring.scorers.includes import IncludesScorer
from evalharness.scoring.scorers.json_equal import JsonEqualScorer
from evalharness.scoring.scorers.json_schema import JsonSchemaScorer
from evalharness.scoring.scorers.json_valid import JsonValidScorer
from evalharness.scoring.scorers.judge import JudgeScorer
from evalharness.scoring.scorers.numeric import NumericScorer
from evalharness.scoring.scorers.python import PythonScorer
from evalharness.scoring.scorers.regex import RegexScorer
from evalharness.scoring.scorers.rouge import RougeScorer
from evalharness.scoring.scorers.similarity import SimilarityScorer
from evalharness.scoring.scorers.startswith import StartsWithScorer
from evalharness.scoring.scorers.tool_call import ToolCallScorer

TABLE: dict[str, type[Scorer]] = {
    "exact": ExactScorer,
    "includes": IncludesScorer,
    "startswith": StartsWithScorer,
    "regex": RegexScorer,
    "numeric": NumericScorer,
    "choice": ChoiceScorer,
    "json_valid": JsonValidScorer,
    "json_schema": JsonSchemaScorer,
    "json_equal": JsonEqualScorer,
    "tool_call": ToolCallScorer,
    "f1": F1Scorer,
    "similarity": SimilarityScorer,
    "rouge": RougeScorer,
    "bleu": BleuScorer,
    "python": PythonScorer,
    "judge": JudgeScorer,
    "human": HumanScorer,
    "checks": ChecksScorer,
}

__all__ = [
    "TABLE",
    "ExtractionResult",
    "Extractor",
    "Sample",
    "Score",
    "Scorer",
    "UnscorableError",
    "parse_answer_spec",
    "parse_reasoning",
    "parse_scoring",
]


def parse_scoring(
    raw: Sequence[Mapping[str, Any]], table: Mapping[str, type[Scorer]] = TABLE
) -> list[Scorer]:
    """Read a ``scoring`` list: scorers, each with a ``label`` no other has.

    Args:
        raw: entries such as ``{"name": "numeric", "tolerance": 0.01}``.
        table: scorers by name; a caller that has more (scorers that send requests) passes
            ``TABLE | {…}``.

    Raises:
        ConfigError: naming the key at fault, such as ``scoring[1].tolerance``.

    """
    return parse_scorers(raw, table)
