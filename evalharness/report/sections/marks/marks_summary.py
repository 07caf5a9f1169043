"""The marks of a run as figures: counts, a score, agreement with scorers, judges and each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.data import json_values
from evalharness.analysis.data.encode import Floats, Ints
from evalharness.analysis.data.frame import RunFrame
from evalharness.report.build.marks import marks_by_trial
from evalharness.report.build.open_run import RunData
from evalharness.report.sections.marks.judge_grades import judge_grades
from evalharness.scoring.marks.marked_records import marked_rows
from evalharness.scoring.marks.stored_marks import REASON_SPLIT, StoredMarksScorer
from evalharness.scoring.scorers.human import HumanScorer
from evalharness.scoring.scorers.judge import JudgeScorer

PASS_FROM = 0.5  # of a score, from which on it counts as a pass beside a mark


class MarksAgreement(msgspec.Struct, frozen=True, kw_only=True):
    """How far two raters agree on the records that both rated.

    Attributes:
        kind: of ``b``: a ``scorer``, a ``judge``, or another ``reader``.
        a: ``marks`` (of most readers), or a reader.
        b: a scorer's label, a judging's name, or a reader.
        n: records that both rated.
        prompts: of these records.
        agreement: share with the same verdict, 0 to 1; null without a record.
        agreement_ci95: its 95 % interval over prompts, or clusters of them; null where undefined.
        kappa: Cohen's kappa, -1 to 1; null where both say one and the same of all records.
        kappa_ci95: its 95 % interval over prompts; null where undefined.
        both_pass, only_a_passes, only_b_passes, both_fail: records.
        cut: records whose score lies between 0 and 1; from 0.5 on it counts as a pass.
    """

    kind: Literal["scorer", "judge", "reader"]
    a: str
    b: str
    n: int
    prompts: int
    agreement: float | None
    agreement_ci95: list[float] | None
    kappa: float | None
    kappa_ci95: list[float] | None
    both_pass: int
    only_a_passes: int
    only_b_passes: int
    both_fail: int
    cut: int


class ReaderCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader said of the records of the report.

    Attributes:
        reader: the name.
        passed, failed: records marked so.
        notes: records with a note.
    """

    reader: str
    passed: int
    failed: int
    notes: int


class MarksSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The marks of a run.

    Attributes:
        damage: why ``annotations.parquet`` cannot be read; null where it can.
        records: records of the report with a mark of any reader.
        prompts: of these records.
        passed, failed: records by what most of their readers say.
        split: records of which as many readers say pass as fail.
        errors: marked records that are errors, which have no score.
        outside: marks of records that are not in the report, as of an earlier plan.
        score: mean over prompts of the mean over their scored repeats, 0 to 1, 1 is a pass; null
            without a scored record.
        score_ci95: its 95 % interval over prompts, or clusters of them; null where undefined.
        score_prompts: prompts with a scored record.
        readers: by name.
        agreement: with scorers, with judges, and between readers.
    """

    damage: str | None
    records: int
    prompts: int
    passed: int
    failed: int
    split: int
    errors: int
    outside: int
    score: float | None
    score_ci95: list[float] | None
    score_prompts: int
    readers: list[ReaderCounts]
    agreement: list[MarksAgreement]


class _Marked(NamedTuple):
    """The marked records of a report.

    Attributes:
        positions: in the frame.
        rows: in the records.
        trials: ids.
        passed: by most readers: 1, 0, NaN undecided or an error.
        reasons: why a record has no score, "" where it has one.
        prompt, unit: of each.
    """

    positions: Ints
    rows: Ints
    trials: list[str]
    passed: Floats
    reasons: list[str]
    prompt: Ints
    unit: Ints


def summarise_marks(run_data: RunData) -> MarksSummary | None:
    """Summarise the marks of a run; None where nobody said anything of its records."""
    annotations, frame = run_data.annotations, run_data.frame
    if not annotations.rows and annotations.damage is None:
        return None
    marks = marks_by_trial(annotations.rows)
    scorer = StoredMarksScorer(marks=marks)
    noted = [row.trial_id for row in annotations.rows]
    reported = set(marked_rows(run_data.records, dict.fromkeys(noted)).values())
    marked = _find_marked(run_data, scorer)
    known = ~np.isnan(marked.passed)
    prompt_scores = _prompt_means(marked.prompt[known], marked.passed[known], frame)
    reasons = Counter(marked.reasons)
    return MarksSummary(
        damage=annotations.damage,
        records=len(marked.trials),
        prompts=len(np.unique(marked.prompt)),
        passed=int((marked.passed == 1.0).sum()),
        failed=int((marked.passed == 0.0).sum()),
        split=reasons[REASON_SPLIT],
        errors=int((~known).sum()) - reasons[REASON_SPLIT],
        outside=len(marks.keys() - reported),
        score=json_values.mean(prompt_scores),
        score_ci95=json_values.share_interval(prompt_scores, frame.clusters),
        score_prompts=int((~np.isnan(prompt_scores)).sum()),
        readers=_readers(run_data, reported),
        agreement=[*_with_raters(run_data, marked), *_between_readers(marked, scorer, run_data)],
    )


def _find_marked(run_data: RunData, scorer: StoredMarksScorer) -> _Marked:
    frame, records = run_data.frame, run_data.records
    trial_of = marked_rows(records, scorer.marks)
    positions = np.flatnonzero(np.isin(frame.rows, np.array(list(trial_of), np.int64)))
    rows = frame.rows[positions].astype(np.int64)
    trials = [trial_of[row] for row in rows.tolist()]
    scores = [
        scorer.score_record(trial, str(status))
        for trial, status in zip(trials, records.take("status", rows), strict=True)
    ]
    passed = np.array([np.nan if s.value is None else s.value for s in scores], np.float64)
    prompt = frame.prompt[positions]
    return _Marked(
        positions,
        rows,
        trials,
        passed,
        [s.explanation if s.value is None else "" for s in scores],
        prompt,
        frame.unit_of_prompt[prompt],
    )


def _prompt_means(prompt: Ints, values: Floats, frame: RunFrame) -> Floats:
    """The mean of each prompt, NaN where it has no value."""
    size = len(frame.prompt_ids)
    counts = np.bincount(prompt, minlength=size)
    sums = np.bincount(prompt, values, minlength=size)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _readers(run_data: RunData, reported: set[str]) -> list[ReaderCounts]:
    counts: dict[str, Counter[str]] = {}
    for row in run_data.annotations.rows:
        if row.trial_id in reported:
            of = counts.setdefault(row.reader, Counter())
            of[row.mark.value if row.mark is not None else ""] += 1
            of["note"] += row.note is not None
    return [
        ReaderCounts(reader=name, passed=of["pass"], failed=of["fail"], notes=of["note"])
        for name, of in sorted(counts.items())
    ]


def _with_raters(run_data: RunData, marked: _Marked) -> Iterable[MarksAgreement]:
    """With each scorer that is no reader, and with each judging that no scorer reads."""
    scorers = run_data.scorers
    for label, values in run_data.frame.scores.items():
        if not isinstance(scorers.get(label), HumanScorer):
            yield _compare(
                "scorer", "marks", label, marked.passed, values[marked.positions], marked
            )
    read = {s.source for s in scorers.values() if isinstance(s, JudgeScorer)}
    for name, values in judge_grades(run_data, marked.rows, leave_out=read).items():
        yield _compare("judge", "marks", name, marked.passed, values, marked)


def _between_readers(
    marked: _Marked, scorer: StoredMarksScorer, run_data: RunData
) -> Iterable[MarksAgreement]:
    values: Mapping[str, Floats] = {
        reader.reader: np.array(
            [
                next(
                    (float(m.passed) for m in scorer.marks[t] if m.reader == reader.reader), np.nan
                )
                for t in marked.trials
            ],
            np.float64,
        )
        for reader in _readers(run_data, set(marked.trials))
    }
    for a, b in combinations(values, 2):
        compared = _compare("reader", a, b, values[a], values[b], marked)
        if compared.n:
            yield compared


def _compare(
    kind: Literal["scorer", "judge", "reader"],
    a: str,
    b: str,
    values_a: Floats,
    values_b: Floats,
    marked: _Marked,
) -> MarksAgreement:
    known = ~np.isnan(values_a) & ~np.isnan(values_b)
    x, y = values_a[known] >= PASS_FROM, values_b[known] >= PASS_FROM
    rated = stats.rater_agreement(x, y, marked.unit[known]) if known.any() else None
    return MarksAgreement(
        kind=kind,
        a=a,
        b=b,
        n=int(known.sum()),
        prompts=len(np.unique(marked.prompt[known])),
        agreement=None if rated is None else rated.share,
        agreement_ci95=None if rated is None else json_values.interval(rated.share_ci),
        kappa=None if rated is None else json_values.number(rated.kappa),
        kappa_ci95=None if rated is None else json_values.interval(rated.kappa_ci),
        both_pass=int((x & y).sum()),
        only_a_passes=int((x & ~y).sum()),
        only_b_passes=int((~x & y).sum()),
        both_fail=int((~x & ~y).sum()),
        cut=int(((values_b[known] > 0.0) & (values_b[known] < 1.0)).sum()),
    )
