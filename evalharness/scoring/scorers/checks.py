"""``checks``: the score by the checks that the rows of a dataset carry themselves."""

from __future__ import annotations

from evalharness.scoring.base import Sample, Score, Scorer, UnscorableError

NAME = "checks"
REASON_NO_CHECKS = "the row has no checks of its own"


class ChecksScorer(Scorer, frozen=True, kw_only=True):
    """The weighted mean of the checks of an output's own row; null where the row has none.

    It stands for them in a ``scoring`` list, and takes nothing but a ``label``: each check has
    arguments of its own. They are applied by
    :mod:`evalharness.scoring.row_checks.column`.
    """

    needs_target = False

    def __post_init__(self) -> None:
        for name, given in (("not", self.negated), ("of", self.of != "text")):
            if given:
                raise ValueError(f"`{name}`: each check of a row has its own")
        if self.target is not None:
            raise ValueError("`target`: each check of a row has its own")

    def evaluate(self, sample: Sample) -> Score:
        """Refuse: the sample alone does not say what its row checks."""
        raise UnscorableError(REASON_NO_CHECKS)
