"""The prompts that changed between two runs: better, worse, unstable or failing, with both sides.

A prompt is judged under one setting of a run against the setting's counterpart in the baseline run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.comparison.comparison import SIGNIFICANCE_LEVEL
from evalharness.analysis.comparison.matching import SettingPair
from evalharness.analysis.data.exact_sums import sums_by_group
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.join_runs import Bools, Floats, Ints, JoinedRuns, SettingColumn
from evalharness.analysis.data.json_values import number
from evalharness.analysis.data.output_texts import joined_text

ChangeKind = Literal["regressed", "improved", "unstable", "new_error"]
KINDS: tuple[ChangeKind, ...] = ("regressed", "improved", "unstable", "new_error")

MAX_TEXTS = 1_000  # changes with texts
MAX_CHARS = 6_000  # of one text
_SAME = 1e-9  # scores that differ by less are equal


class PromptSide(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt under a setting of one run.

    Attributes:
        run: the run.
        setting_id, label: the setting.
        score: mean over usable repeats, from 0 to 1; null where not scored.
        agreement: chance that two repeats agree; null below two usable repeats.
        trials: how many there are.
        errors: how many of them are errors.
        text: the first 6,000 characters of the commonest output; null without one, and beyond the
            first 1,000 changes.
    """

    run: str
    setting_id: str
    label: str
    score: float | None
    agreement: float | None
    trials: int
    errors: int
    text: str | None = None


class PromptChange(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt that changed under a setting.

    Attributes:
        prompt_id: the prompt; of two ids with one content, that of the baseline run.
        kinds: ``regressed`` and ``improved`` are of the mean score; ``unstable``: all repeats
            agreed before, and do not now; ``new_error``: none failed before, and some do now.
        before: the baseline run.
        after: the run that is compared with it.
        difference: of the scores, after minus before; null where one is unknown.
        every_repeat: whether no repeat of one run scores as high as any of the other.
        p: that the repeats of one prompt that did not change differ so: Fisher's exact test of
            scores that are 0 or 1, else Welch's; null where it cannot be tested.
        p_adjusted: for all prompts (Benjamini-Hochberg).
        beyond_chance: whether ``p_adjusted`` is below .05.
    """

    prompt_id: str
    kinds: list[ChangeKind]
    before: PromptSide
    after: PromptSide
    difference: float | None
    every_repeat: bool
    p: float | None
    p_adjusted: float | None = None
    beyond_chance: bool = False


class _Scores(NamedTuple):
    """The scores of a setting by joined prompt: how many, mean, variance, range, all 0 or 1."""

    n: Ints
    mean: Floats
    variance: Floats
    low: Floats
    high: Floats
    passes: Bools


def prompt_changes(
    joined: JoinedRuns, pairs: Sequence[SettingPair], *, scored: bool = True
) -> list[PromptChange]:
    """Find the prompts that changed: those beyond chance first, then by the size of the change.

    Args:
        joined: the runs, their prompts matched.
        pairs: settings of a run against those of the baseline run; pooled pairs are not used.
        scored: whether the runs are scored alike; else scores change nothing.
    """
    by_answer = all(frame.answer is not None for frame in joined.frames)
    agreement = joined.values("agreement_answer" if by_answer else "agreement")
    finder = _Finder(joined, agreement, scored)
    candidates = [change for pair in pairs if not pair.pooled for change in finder.changes(pair)]
    p = np.array([np.nan if change.p is None else change.p for change, _, _ in candidates])
    # Every prompt with scores on both sides was looked at: those that are equal have p = 1.
    padded = np.r_[p, np.ones(max(0, finder.tested - int(np.isfinite(p).sum())))]
    adjusted = stats.benjamini_hochberg(padded)[0] if len(padded) else padded
    done = [
        (_with_adjusted(change, value), a, b)
        for (change, a, b), value in zip(candidates, adjusted[: len(p)].tolist(), strict=True)
    ]
    done.sort(key=lambda item: _rank(item[0]))
    return _with_texts(joined, done)


def _with_adjusted(change: PromptChange, p_adjusted: float) -> PromptChange:
    beyond = bool(p_adjusted < SIGNIFICANCE_LEVEL)
    return msgspec.structs.replace(change, p_adjusted=number(p_adjusted), beyond_chance=beyond)


def _rank(change: PromptChange) -> tuple[int, bool, bool, float]:
    first = min(KINDS.index(kind) for kind in change.kinds)
    size = abs(change.difference or 0.0)
    return first, not change.beyond_chance, not change.every_repeat, -size


_Found = tuple[PromptChange, SettingColumn, SettingColumn]


class _Finder:
    """Compares settings prompt by prompt, and counts the prompts that were tested."""

    def __init__(self, joined: JoinedRuns, agreement: Floats, scored: bool) -> None:
        self._joined = joined
        self._agreement = agreement
        self._scored = scored
        self.tested = 0

    def changes(self, pair: SettingPair) -> list[_Found]:
        """The prompts that changed between the two settings of a pair."""
        joined, (a,), (b,) = self._joined, pair.compared, pair.baseline
        after, before = _scores(joined, a), _scores(joined, b)
        trials, errors = joined.trials, joined.errors
        both = (trials[:, a.index] > 0) & (trials[:, b.index] > 0)
        difference = after.mean - before.mean if self._scored else np.full(len(both), np.nan)
        self.tested += int(np.count_nonzero((after.n > 1) & (before.n > 1) & self._scored))
        changed: dict[ChangeKind, Bools] = {
            "regressed": difference < -_SAME,
            "improved": difference > _SAME,
            "unstable": (self._agreement[:, b.index] > 1 - _SAME)
            & (self._agreement[:, a.index] < 1 - _SAME),
            "new_error": (errors[:, b.index] == 0) & (errors[:, a.index] > 0),
        }
        rows = np.flatnonzero(both & np.logical_or.reduce([*changed.values()]))
        apart = (after.high < before.low - _SAME) | (after.low > before.high + _SAME)
        p_of = _tester(before, after)
        candidates: list[_Found] = []
        for row in rows.tolist():
            has_scores = bool(np.isfinite(difference[row]))
            change = PromptChange(
                prompt_id=joined.prompt_ids[row],
                kinds=[kind for kind in KINDS if changed[kind][row]],
                before=self._side(b, row, before),
                after=self._side(a, row, after),
                difference=number(difference[row]),
                every_repeat=has_scores and bool(apart[row]),
                p=p_of(row) if has_scores else None,
            )
            candidates.append((change, a, b))
        return candidates

    def _side(self, column: SettingColumn, row: int, scores: _Scores) -> PromptSide:
        joined = self._joined
        return PromptSide(
            run=column.run,
            setting_id=column.setting_id,
            label=column.label,
            score=number(scores.mean[row]) if self._scored else None,
            agreement=number(self._agreement[row, column.index]),
            trials=int(joined.trials[row, column.index]),
            errors=int(joined.errors[row, column.index]),
        )


def _tester(before: _Scores, after: _Scores) -> Callable[[int], float | None]:
    def p_of(row: int) -> float | None:
        n = int(before.n[row]), int(after.n[row])
        if min(n) < 2:
            return None
        if before.passes[row] and after.passes[row]:
            passed = [
                round(float(s.mean[row]) * k) for s, k in zip((before, after), n, strict=True)
            ]
            return stats.pass_change_p(passed[0], n[0], passed[1], n[1])
        variances = float(before.variance[row]), float(after.variance[row])
        return stats.mean_change_p(float(after.mean[row] - before.mean[row]), variances, n)

    return p_of


def _scores(joined: JoinedRuns, column: SettingColumn) -> _Scores:
    """The primary scores under a column, by joined prompt; NaN where there is none."""
    frame, setting, rows = joined.origin(column)
    size = len(frame.prompt_ids)
    nothing = np.full(size, np.nan)
    part = frame.rows_of(setting)
    scores = next(iter(frame.scores.values()), None)
    values = np.full(len(frame.prompt[part]), np.nan) if scores is None else scores[part]
    known = np.isfinite(values)
    prompt, value = frame.prompt[part][known], values[known]
    n = np.bincount(prompt, minlength=size)
    at_least_one = np.maximum(n, 1)
    mean = np.where(n > 0, sums_by_group(prompt, value, size) / at_least_one, np.nan)
    squares = np.bincount(prompt, (value - mean[prompt]) ** 2, minlength=size)
    low, high = np.full(size, np.inf), np.full(size, -np.inf)
    np.minimum.at(low, prompt, value)
    np.maximum.at(high, prompt, value)
    other = np.bincount(prompt, (value != 0) & (value != 1), minlength=size)
    plain = _Scores(
        n,
        mean,
        np.where(n > 1, squares / np.maximum(n - 1, 1), np.nan),
        np.where(n > 0, low, nothing),
        np.where(n > 0, high, nothing),
        other == 0,
    )
    return _Scores(*(_spread(values, rows, len(joined.prompt_ids)) for values in plain))


def _spread(values: np.ndarray, rows: Ints, size: int) -> np.ndarray:
    """Values of a run's prompts as values of the joined prompts."""
    empty = np.nan if values.dtype.kind == "f" else 0
    out = np.full(size, empty, values.dtype)
    out[rows] = values
    return out


def _with_texts(joined: JoinedRuns, candidates: Sequence[_Found]) -> list[PromptChange]:
    """The changes with the commonest output of both sides; the first ones only."""
    row_of = {name: row for row, name in enumerate(joined.prompt_ids)}
    texts: list[dict[int, str]] = [{}, {}]
    shown = candidates[:MAX_TEXTS]
    for frame in joined.frames:
        wanted: list[tuple[int, int, int]] = []  # side, change, row of the frame
        for index, (change, a, b) in enumerate(shown):
            for side, column in enumerate((b, a)):
                owner, setting, rows = joined.origin(column)
                if owner is frame:
                    row = _commonest(frame, setting, rows, row_of[change.prompt_id])
                    if row is not None:
                        wanted.append((side, index, row))
        if wanted:
            outputs = joined_text(frame, np.array([row for _, _, row in wanted]))
            for (side, index, _), text in zip(wanted, outputs, strict=True):
                texts[side][index] = text[:MAX_CHARS]
    return [
        msgspec.structs.replace(
            change,
            before=msgspec.structs.replace(change.before, text=texts[0].get(index)),
            after=msgspec.structs.replace(change.after, text=texts[1].get(index)),
        )
        for index, (change, _, _) in enumerate(candidates)
    ]


def _commonest(frame: RunFrame, setting: int, rows: Ints, joined_row: int) -> int | None:
    """The first row that gave the commonest output of a prompt; None without a known output."""
    prompt = int(np.flatnonzero(rows == joined_row)[0])
    cell = setting * len(frame.prompt_ids) + prompt
    outputs = frame.output_variants  # those of a cell in the order of their first rows
    # A bound of another type would have all cells converted each time.
    ends = np.array([cell, cell + 1]).astype(outputs.cell.dtype)
    start, stop = np.searchsorted(outputs.cell, ends).tolist()
    if start == stop:
        return None
    return int(outputs.first[start + np.argmax(outputs.count[start:stop])])
