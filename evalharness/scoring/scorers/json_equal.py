"""``json_equal``: the text is JSON equal to the target."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from evalharness.scoring.base import Sample, Score, Scorer, binary_score
from evalharness.scoring.json_in_text import NotJSONError, canonical_text, parse_json, same_json


class JsonEqualScorer(Scorer, frozen=True, kw_only=True):
    """1 when the text is JSON with the same value as the target, else 0.

    Attributes:
        fenced: also accept JSON in a Markdown code block.
        tolerance: largest absolute difference between two numbers that still counts as equal.

    Order of keys and spacing do not count, order in arrays does. The target is any JSON value; a
    text target that is itself JSON means that JSON (``'{"a": 1}'``), any other text means the
    JSON text. A list target is one array, not alternatives.

    """

    fenced: bool = False
    tolerance: Annotated[float, Meta(ge=0)] = 0.0

    def evaluate(self, sample: Sample) -> Score:
        """Decode and compare."""
        text = self.text_to_score(sample)
        try:
            value = parse_json(text, allow_code_fence=self.fenced)
        except NotJSONError as error:
            return binary_score(False, None, f"not JSON: {error}")
        answer = canonical_text(value)
        passed = same_json(value, _expected(sample.target), self.tolerance)
        return binary_score(
            passed, answer, "equals the target" if passed else "differs from the target"
        )


def _expected(target: Any) -> Any:
    if not isinstance(target, str):
        return target
    try:
        return parse_json(target, allow_code_fence=False)
    except NotJSONError:
        return target
