"""Intervals of precision, recall and F1 of classes: how often they hold the true value.

Each prompt has a class and chances of its own to be taken for each class or to be unparsed, drawn
from a Dirichlet distribution whose mean is the same for all prompts of a class, so that the true
figures are known.
"""

from __future__ import annotations

from functools import partial
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.calibration_cells import COVERAGE, Case, Outcome, Promise
from benchmarks.calibration_intervals import CONSTANT, FEW, Layout, labels_of, sizes_of
from evalharness.analysis import stats
from evalharness.analysis.stats import ClassCounts, ShareEstimate

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
FigureName = Literal["precision", "recall", "F1", "macro F1"]

UNITS = (12, 30, 100, 300)
REPEATS = 3
_UNPARSED = 0.1  # of what is wrong
_ENOUGH = 6  # expected units of a class, from which on its coverage is promised


class Task(NamedTuple):
    """A classification task.

    Attributes:
        shares: of the prompts that have each class, the rarest last.
        right: share of a class's records that name it.
    """

    shares: tuple[float, ...]
    right: float

    @property
    def name(self) -> str:
        """In words."""
        rare = f"the rarest {100 * self.shares[-1]:.0f} %"
        return f"{len(self.shares)} classes, {rare}, {100 * self.right:.0f} % right"

    @property
    def rows(self) -> Floats:
        """Chances of each prediction by class; the last column is unparsed."""
        classes = len(self.shares)
        wrong = (1.0 - self.right) * (1.0 - _UNPARSED) / (classes - 1)
        rows = np.full((classes, classes), wrong)
        np.fill_diagonal(rows, self.right)
        return np.c_[rows, 1.0 - rows.sum(axis=1)]

    def truth(self, figure: FigureName) -> Floats:
        """The true figure of each class."""
        shares = np.array(self.shares)
        table = shares[:, None] * self.rows[:, :-1]
        right, named = np.diag(table), table.sum(axis=0)
        if figure == "recall":
            return right / shares
        return right / named if figure == "precision" else 2.0 * right / (shares + named)


TASKS = (
    Task((0.5, 0.5), 0.8), Task((0.5, 0.5), 0.95), Task((0.6, 0.3, 0.1), 0.8),
    Task((0.6, 0.3, 0.1), 0.95), Task((0.1,) * 10, 0.8), Task((0.1,) * 10, 0.95),
)  # fmt: skip
LAYOUTS: tuple[Layout, ...] = ("prompts", "clusters of 4", "clusters of 1 to n")


def simulated_counts(
    rng: np.random.Generator, task: Task, layout: Layout, units: int
) -> list[ClassCounts]:
    """The counts of each class in one run."""
    classes, rows = len(task.shares), task.rows
    prompts = int(sizes_of(layout, units).sum())
    labels = labels_of(layout, units)
    unit = np.arange(prompts) if labels is None else labels
    target = rng.choice(classes, prompts, p=task.shares)
    weights = 2.0 * rows[target]
    if labels is not None:  # prompts of a cluster are alike where they have a class in common
        centre = _dirichlet(rng, np.broadcast_to(4.0 * rows, (units, *rows.shape)))
        weights = 4.0 * np.clip(centre[unit, target], 1e-6, 1.0)
    named = rng.multinomial(REPEATS, _dirichlet(rng, weights))
    out: list[ClassCounts] = []
    for code in range(classes):
        is_target = target == code
        columns = [
            np.bincount(unit, values, minlength=units).astype(np.float64)
            for values in (named[:, code] * is_target, REPEATS * is_target, named[:, code])
        ]
        used = np.flatnonzero(columns[1] + columns[2])
        out.append(ClassCounts(used, *(column[used] for column in columns)))
    return out


def _dirichlet(rng: np.random.Generator, weights: Floats) -> Floats:
    drawn = rng.standard_gamma(weights) + 1e-300
    return drawn / drawn.sum(axis=-1, keepdims=True)


def class_coverage(
    rng: np.random.Generator,
    runs: int,
    *,
    figure: FigureName,
    task: Task,
    layout: Layout,
    units: int,
) -> Outcome:
    """Coverage of the interval of a figure of the rarest class, or of the mean over classes.

    Args:
        rng: the source of the data.
        runs: how many.
        figure: which.
        task: what is classified.
        layout: how prompts form units.
        units: how many.
    """
    truths, outcome = task.truth(figure), Outcome()
    for _ in range(runs):
        counts = simulated_counts(rng, task, layout, units)
        outcome = outcome.plus(_covered(figure, counts, truths, units))
    return outcome


def _covered(figure: FigureName, counts: list[ClassCounts], truths: Floats, units: int) -> Outcome:
    if figure == "macro F1":
        figures = [stats.class_figures(entry) for entry in counts]
        seen = np.array([entry.f1.value is not None for entry in figures])
        return _hit(stats.macro_f1(counts, figures, units), float(truths[seen].mean()))
    rare = stats.class_figures(counts[-1])
    own = {"precision": rare.precision, "recall": rare.recall, "F1": rare.f1}
    return _hit(own[figure], float(truths[-1]))


def _hit(figure: ShareEstimate, truth: float) -> Outcome:
    if figure.ci95 is None:
        return Outcome(undefined=1)
    low, high = figure.ci95
    return Outcome(low - 1e-12 <= truth <= high + 1e-12, 1)


def class_cases() -> list[Case]:
    """Figures of the rarest class, and means over classes."""
    figures: tuple[FigureName, ...] = ("precision", "recall", "F1", "macro F1")
    cases: list[Case] = []
    for task in TASKS:
        for layout in LAYOUTS:
            for figure in figures:
                for units in UNITS:
                    if layout == "clusters of 1 to n" and units > 30:
                        continue
                    measure = partial(
                        class_coverage, figure=figure, task=task, layout=layout, units=units
                    )
                    row = f"{figure}, {task.name}, {layout}"
                    promise = _promise(task, layout, units)
                    cases.append(Case("classes", row, f"{units} units", measure, promise, 2_000))
    return cases


def _promise(task: Task, layout: Layout, units: int) -> Promise | None:
    """Nothing is promised of a class that hardly any unit has."""
    prompts = float(sizes_of(layout, units).sum()) * task.shares[-1]
    if min(prompts, units) < _ENOUGH:
        return None
    above = CONSTANT if task.right > 0.85 else FEW if min(prompts, units) <= 40 else ""
    return COVERAGE._replace(above=above)
