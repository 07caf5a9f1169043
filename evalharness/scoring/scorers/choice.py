"""``choice``: the text picks the right one of several labelled choices."""

from __future__ import annotations

from evalharness.scoring.base import Sample, Score, Scorer, UnscorableError, alternatives, verdict
from evalharness.scoring.choice_labels import LETTERS, by_casefold, check_labels, find_label


class Choice(Scorer, frozen=True, kw_only=True):
    """1 when the label picked by the text is the target, else 0.

    Attributes:
        labels: the labels to look for; by default the letters A to H.

    A text that picks none, or names several without saying which is the answer, scores 0.
    A target that is not one of the labels gives null.

    """

    labels: tuple[str, ...] = LETTERS

    def __post_init__(self) -> None:
        try:
            check_labels(self.labels)
        except ValueError as error:
            raise ValueError(f"`labels`: {error}") from None

    def grade(self, sample: Sample) -> Score:
        """Find the label and compare."""
        known = by_casefold(self.labels)
        right: list[str] = []
        for target in alternatives(sample.target):
            label = known.get(target.casefold()) or known.get(target.strip(" ().").casefold())
            if label is None:
                raise UnscorableError(f"the target {target!r} is none of the labels")
            right.append(label)
        picked = find_label(self.said(sample), self.labels)
        if picked is None:
            return verdict(False, None, "no single label is picked")
        return verdict(picked in right, picked, f"picks {picked}")
