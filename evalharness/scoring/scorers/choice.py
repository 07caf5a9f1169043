"""``choice``: the text chooses the right one of several labels."""

from __future__ import annotations

from evalharness.scoring.base import (
    Sample,
    Score,
    Scorer,
    UnscorableError,
    accepted_targets,
    binary_score,
)
from evalharness.scoring.choice_labels import (
    LETTERS,
    check_labels,
    find_label,
    labels_by_casefold,
    plain_label,
)


class ChoiceScorer(Scorer, frozen=True, kw_only=True):
    """1 when the label chosen by the text is the target, else 0.

    Attributes:
        labels: the labels to look for; by default the letters A to H.

    A text that chooses none, or names several without saying which is the answer, scores 0.
    A target that is not one of the labels gives null.

    """

    labels: tuple[str, ...] = LETTERS

    def __post_init__(self) -> None:
        try:
            check_labels(self.labels)
        except ValueError as error:
            raise ValueError(f"`labels`: {error}") from None

    def evaluate(self, sample: Sample) -> Score:
        """Find the label and compare."""
        labels = labels_by_casefold(self.labels)
        accepted: list[str] = []
        for written in accepted_targets(sample.target):
            target = written if written.casefold() in labels else plain_label(written)
            label = labels.get(target.casefold()) or labels.get(target.strip(" ().").casefold())
            if label is None:
                raise UnscorableError(f"the target {written!r} is none of the labels")
            accepted.append(label)
        picked = find_label(self.text_to_score(sample), self.labels)
        if picked is None:
            return binary_score(False, None, "no single label is picked")
        return binary_score(picked in accepted, picked, f"picks {picked}")
