"""Scorers: how an output is judged against its prompt.

A scorer is a frozen value; its fields are its arguments. A new one is one file and one line in
:data:`TABLE`. :func:`parse_scoring` reads the ``scoring`` list of a configuration,
:func:`parse_answer_spec` the ``answer`` part; :func:`.run_scores.score_records` applies both to the
records of a run, and is imported from there since it needs numpy. ``docs/scorers.md`` is the page
for users.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from evalharness.scoring.answer_extraction import Extractor, Parsed, parse_answer_spec
from evalharness.scoring.base import Sample, Score, Scorer, UnscorableError
from evalharness.scoring.config_parsing import parse_with
from evalharness.scoring.scorers.bleu import Bleu
from evalharness.scoring.scorers.choice import Choice
from evalharness.scoring.scorers.exact import Exact
from evalharness.scoring.scorers.f1 import F1
from evalharness.scoring.scorers.includes import Includes
from evalharness.scoring.scorers.json_equal import JsonEqual
from evalharness.scoring.scorers.json_schema import JsonSchema
from evalharness.scoring.scorers.json_valid import JsonValid
from evalharness.scoring.scorers.judge import Judge
from evalharness.scoring.scorers.numeric import Numeric
from evalharness.scoring.scorers.python import Python
from evalharness.scoring.scorers.regex import Regex
from evalharness.scoring.scorers.rouge import Rouge
from evalharness.scoring.scorers.similarity import Similarity
from evalharness.scoring.scorers.startswith import StartsWith
from evalharness.scoring.scorers.tool_call import ToolCall

TABLE: dict[str, type[Scorer]] = {
    "exact": Exact,
    "includes": Includes,
    "startswith": StartsWith,
    "regex": Regex,
    "numeric": Numeric,
    "choice": Choice,
    "json_valid": JsonValid,
    "json_schema": JsonSchema,
    "json_equal": JsonEqual,
    "tool_call": ToolCall,
    "f1": F1,
    "similarity": Similarity,
    "rouge": Rouge,
    "bleu": Bleu,
    "python": Python,
    "judge": Judge,
}

__all__ = [
    "TABLE",
    "Extractor",
    "Parsed",
    "Sample",
    "Score",
    "Scorer",
    "UnscorableError",
    "parse_answer_spec",
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
    return parse_with(raw, table)
