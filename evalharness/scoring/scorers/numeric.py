"""``numeric``: a number in the text is the target."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta

from evalharness.scoring.base import Sample, Score, Scorer, binary_score
from evalharness.scoring.number_locale import number_locale
from evalharness.scoring.numbers_in_text import canonical_number, find_number, target_numbers


class NumericScorer(Scorer, frozen=True, kw_only=True):
    """1 when the number in the text is within tolerance of the target, else 0.

    Attributes:
        tolerance: largest absolute difference that still counts as equal, in the target's unit.
        rel_tolerance: the same as a share of the target's magnitude; the wider of the two holds.
        locale: a language tag (``de``, ``pt-BR``) that says which sign is the decimal one, in texts
            and in targets that are texts; None: the point.
        which: the ``last`` number of the text (where answers stand), the ``first``, or the
            ``only`` one (0 when there are several).

    Numbers are compared in decimal, as written: 0.1 is 0.1. A text without a number, or with one
    that can be read in two ways, scores 0.

    """

    tolerance: Annotated[float, Meta(ge=0)] = 0.0
    rel_tolerance: Annotated[float, Meta(ge=0)] = 0.0
    which: Literal["last", "first", "only"] = "last"
    locale: str | None = None

    def __post_init__(self) -> None:
        try:
            number_locale(self.locale)
        except ValueError as error:
            raise ValueError(f"`locale`: {error}") from None

    def evaluate(self, sample: Sample) -> Score:
        """Find the number and compare."""
        form = number_locale(self.locale)
        targets = target_numbers(sample.target, form)
        number = find_number(self.text_to_score(sample), self.which, form)
        if number is None:
            several = ", or more than one" if self.which == "only" else ""
            return binary_score(False, None, f"no number in the text that can be read{several}")
        passed = any(self._near(number, target) for target in targets)
        explanation = "within tolerance" if passed else f"target is {canonical_number(targets[0])}"
        return binary_score(passed, canonical_number(number), explanation)

    def _near(self, number: Decimal, target: Decimal) -> bool:
        if number == target or not (self.tolerance or self.rel_tolerance):
            return number == target
        allowed = max(
            Decimal(repr(self.tolerance)), Decimal(repr(self.rel_tolerance)) * abs(target)
        )
        return abs(number - target) <= allowed
