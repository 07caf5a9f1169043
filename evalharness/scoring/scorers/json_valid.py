"""``json_valid``: the text is JSON."""

from __future__ import annotations

from typing import ClassVar

from evalharness.scoring.base import Sample, Score, Scorer, verdict
from evalharness.scoring.json_in_text import NotJSONError, read_json


class JsonValid(Scorer, frozen=True, kw_only=True):
    """1 when the whole text is one JSON value, else 0. Needs no target.

    Attributes:
        fenced: also accept JSON in a Markdown code block.

    """

    fenced: bool = False

    needs_target: ClassVar[bool] = False

    def grade(self, sample: Sample) -> Score:
        """Read the text as JSON."""
        said = self.said(sample)
        try:
            read_json(said, fenced=self.fenced)
        except NotJSONError as error:
            return verdict(False, None, f"not JSON: {error}")
        return verdict(True, said, "is JSON")
