"""Scorers: how an output is judged against its prompt.

A scorer is a frozen value; its fields are its arguments. A new one is one file and one line in
:data:`TABLE`. :func:`parse_scoring` reads the ``scoring`` list of a configuration,
:func:`parse_answer_spec` the ``answer`` part; :func:`.scored.score_records` applies both to the
records of a run, and is imported from there since it needs numpy. ``docs/scorers.md`` is the page
for users.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from evalharness.scorers.answers import Extractor, Parsed, parse_answer_spec
from evalharness.scorers.base import Sample, Score, Scorer, UnscorableError
from evalharness.scorers.bleu import Bleu
from evalharness.scorers.choice import Choice
from evalharness.scorers.exact import Exact
from evalharness.scorers.f1 import F1
from evalharness.scorers.includes import Includes
from evalharness.scorers.json_equal import JsonEqual
from evalharness.scorers.json_schema import JsonSchema
from evalharness.scorers.json_valid import JsonValid
from evalharness.scorers.judge import Judge
from evalharness.scorers.numeric import Numeric
from evalharness.scorers.parsing import parse_with
from evalharness.scorers.python import Python
from evalharness.scorers.regex import Regex
from evalharness.scorers.rouge import Rouge
from evalharness.scorers.similarity import Similarity
from evalharness.scorers.startswith import StartsWith
from evalharness.scorers.tool_call import ToolCall

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
