"""``json_valid``: the text is JSON."""

from __future__ import annotations

from typing import ClassVar

from evalharness.scoring.base import Sample, Score, Scorer, binary_score
from evalharness.scoring.json_in_text import NotJSONError, parse_json


class JsonValidScorer(Scorer, frozen=True, kw_only=True):
    """1 when the whole text is one JSON value, else 0. Needs no target.

    Attributes:
        fenced: also accept JSON in a Markdown code block.

    """

    fenced: bool = False

    needs_target: ClassVar[bool] = False

    def evaluate(self, sample: Sample) -> Score:
        """Read the text as JSON."""
        text = self.text_to_score(sample)
        try:
            parse_json(text, allow_code_fence=self.fenced)
        except NotJSONError as error:
            return binary_score(False, None, f"not JSON: {error}")
        return binary_score(True, text, "is JSON")
