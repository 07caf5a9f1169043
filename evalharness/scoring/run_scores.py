"""Scores and answers of a whole run: each unique output is scored once."""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from evalharness.columnar.record_store import RecordStore
from evalharness.columnar.row_store import NULL_CODE, Codes
from evalharness.process.fork import ForkedTask
from evalharness.records import Status
from evalharness.scoring.answer_extraction import Extractor
from evalharness.scoring.base import REASON_ERROR_RECORD, Score, Scorer
from evalharness.scoring.isolation.limited_scorer import score_in_full
from evalharness.scoring.label_classes import LabelSet, RunLabels, find_label_set
from evalharness.scoring.marks.marked_records import MarkedScores, score_marked
from evalharness.scoring.marks.stored_marks import StoredMarksScorer
from evalharness.scoring.reasoning import ReasoningMode, scored_text
from evalharness.scoring.reasoning_counts import ReasoningTotals
from evalharness.scoring.row_checks.column import explain_checks
from evalharness.scoring.row_checks.parsing import RowChecks
from evalharness.scoring.score_batches import BatchScorer, ScoreTable, isolated_indexes
from evalharness.scoring.scorers.checks import ChecksScorer
from evalharness.scoring.unique_outputs import KEY_COLUMNS, TEXT_COLUMNS, NewOutputs, UniqueOutputs

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

IMPORTED = "imported"  # name of the scores that came with an import
#: The columns of records that are read here.
COLUMNS = (*KEY_COLUMNS, *TEXT_COLUMNS, "score", "trial_id")


class RunScores:
    """Scores of all records of a run, aligned with the records table.

    Attributes:
        scores: label → float64 array, one value a record in [0, 1]; NaN is "not scored". Scores
            that came with an import stand last, under ``imported``.
        answers: parsed answers (Arrow dictionary of strings, null: none); None when no
            answers are defined.
        answer_status: :class:`AnswerStatus` of each record (dictionary-encoded), or None.
        labels: the classes of prompts and what each record names; None where targets are no
            labels.

    """

    def __init__(
        self,
        outputs: UniqueOutputs,
        scorers: Mapping[str, Scorer],
        table: ScoreTable,
        labels: LabelSet | None = None,
        checks: RowChecks | None = None,
    ) -> None:
        self._checks = checks or RowChecks()
        self._index = outputs.complete()
        self.scores: dict[str, npt.NDArray[np.float64]] = {
            label: result.values[self._index] for label, result in table.scores.items()
        }
        self.answers: pa.DictionaryArray[Any, Any] | None = None
        self.answer_status: pa.DictionaryArray[Any, Any] | None = None
        if table.answers is not None:
            self.answers, self.answer_status = table.answers.for_records(self._index)
        self.labels: RunLabels | None = None
        if labels is not None and table.labels is not None:
            outside, codes = table.labels
            self.labels = RunLabels(*labels[:4], outside, codes[self._index])
        self._outputs = outputs
        self._scorers = scorers
        self._table = table
        self._imported_nulls: dict[str, int] = {}
        self._marked: dict[str, MarkedScores] = {}

    @property
    def scorers(self) -> Mapping[str, Scorer]:
        """The scorers by label; none of the scores of an import."""
        return self._scorers

    def warning(self, label: str) -> str | None:
        """What is likely a mistake in the arguments of a scorer, mostly nothing."""
        scorer = self._scorers.get(label)
        return scorer.warning() if scorer is not None and self._outputs.has_targets else None

    @property
    def reasoning(self) -> ReasoningTotals:
        """How many records have reasoning in their text."""
        return self._table.reasoning.totals(self._index)

    @property
    def answer_codes(self) -> Codes | None:
        """A code for the answer of each record, negative without one; None as for ``answers``."""
        if self.answers is None:
            return None
        return np.asarray(self.answers.indices.fill_null(NULL_CODE))

    def add_imported(self, values: npt.NDArray[np.float64], errors: int) -> None:
        """Append the scores of an import; ``errors`` is the number of error records."""
        self.scores[IMPORTED] = values
        nulls = int(np.isnan(values).sum())
        reasons = {REASON_ERROR_RECORD: errors, "the import gave no score": nulls - errors}
        self._imported_nulls = {reason: count for reason, count in reasons.items() if count}

    def add_marked(self, label: str, marked: MarkedScores) -> None:
        """Put in the scores by the marks of records, which no output has."""
        self.scores[label] = marked.values
        self._marked[label] = marked

    def explain(self, label: str, row: int) -> Score:
        """Compute the full score of one record again, with its explanation.

        Raises:
            KeyError: no score has this label.

        """
        value = float(self.scores[label][row])
        if label in self._marked:
            return self._marked[label].of(row)
        if label not in self._scorers:
            return Score(None if math.isnan(value) else value, None, "came with the import")
        output = int(self._index[row])
        reason = self._table.scores[label].reasons.get(output)
        if reason is not None:
            return Score(None, None, reason)
        answer = None if self._table.answers is None else self._table.answers.answer_of(output)
        mode = self._table.reasoning.mode
        sample = self._outputs.sample(output, answer, lambda text: scored_text(text, mode))
        scorer = self._scorers[label]
        if isinstance(scorer, ChecksScorer):
            return explain_checks(sample, self._checks)
        isolated = bool(isolated_indexes(scorer, [sample], self._outputs))
        return score_in_full(scorer, sample, isolated=isolated)

    def why_null(self, label: str) -> dict[str, int]:
        """How many records this scorer left without a score, by reason, most frequent first."""
        if label not in self._scorers:
            return self._imported_nulls
        if label in self._marked:
            return dict(self._marked[label].why_null.most_common())
        uses = np.bincount(self._index, minlength=len(self._outputs))
        counts: Counter[str] = Counter()
        for output, reason in self._table.scores[label].reasons.items():
            counts[reason] += int(uses[output])
        return dict(counts.most_common())


def score_records(
    records: RecordStore,
    prompts: pa.Table,
    scorers: Sequence[Scorer],
    extractor: Extractor | None,
    *,
    answers_supplied: bool | None = None,
    reasoning: ReasoningMode = "strip",
    checks: RowChecks | None = None,
) -> RunScores:
    """Score every record by every scorer and extract every answer.

    Without an extractor, answers are those in the ``answer`` column of an import:
    ``answers_supplied`` says whether there was one (None: when any is not null). Scores in the
    ``score`` column of an import are passed on; there too an error record has none, and a refused
    record without one counts 0 where it has a target.

    Args:
        records: with :data:`COLUMNS`; absent ones count as null.
        prompts: needs ``prompt_id target_json``; ``fields_json tags messages_json`` are used when
            present.
        scorers: from :func:`~evalharness.scoring.parse_scoring`.
        extractor: from :func:`~evalharness.scoring.parse_answer_spec`.
        answers_supplied: see above.
        reasoning: whether texts are scored without the reasoning that they begin with.
        checks: those of rows (:mod:`evalharness.scoring.row_checks.parsing`), which a scorer called
            ``checks`` applies.

    Raises:
        ConfigError: a scorer has ``of: answer`` and no answers are defined; two equal labels.
        DatasetError: a record of a prompt that the prompts table does not hold.

    """
    if answers_supplied is None:
        answers_supplied = "answer" in records.column_names
    supplied = extractor is None and answers_supplied
    with RunScorer(
        records, prompts, scorers, extractor, supplied=supplied, reasoning=reasoning, checks=checks
    ) as scorer:
        scorer.score_new_records()
        return scorer.finish()


class RunScorer:
    """Scores the records of a run block by block, each unique output once. A context manager.

    Args:
        records: to which the blocks are added.
        prompts, scorers, extractor, reasoning, checks: see :func:`score_records`.
        supplied: the answers are those in the ``answer`` column.
        use_fork: score in a fork of this process (:class:`~evalharness.process.fork.ForkedTask`),
            while this one reads on; here where the system allows no fork, or a scorer is not
            fork-safe.

    Raises:
        ConfigError: see :func:`score_records`.

    """

    def __init__(
        self,
        records: RecordStore,
        prompts: pa.Table,
        scorers: Sequence[Scorer],
        extractor: Extractor | None,
        *,
        supplied: bool,
        use_fork: bool = False,
        reasoning: ReasoningMode = "strip",
        checks: RowChecks | None = None,
    ) -> None:
        self._records = records
        self._checks = checks or RowChecks()
        self._prompts = prompts
        self._scored_parts = 0
        self._columns = [
            name for name in (*KEY_COLUMNS, *TEXT_COLUMNS) if name != "answer" or supplied
        ]
        self._batch_scorer = BatchScorer(
            scorers, extractor, supplied=supplied, reasoning=reasoning, checks=self._checks
        )
        self._labels = find_label_set(
            _targets_json(prompts),
            self._batch_scorer.scorers,
            extractor,
            has_answers=supplied or extractor is not None,
        )
        if self._labels is not None:
            self._batch_scorer.collect_labels(self._labels)
        self._outputs = UniqueOutputs(prompts, records.encoders, records.texts)
        self._fork: ForkedTask[ScoreTable] | None = None
        if use_fork and all(s.fork_safe for s in (*scorers, *self._checks.scorers)):
            records.texts.share()
            with contextlib.suppress(OSError):  # the system allows no further process
                self._fork = ForkedTask(self._score_in_fork, "judging outputs")

    def __enter__(self) -> RunScorer:
        return self

    def __exit__(self, *_: object) -> None:
        if self._fork is not None:
            self._fork.close()

    def score_new_records(self) -> None:
        """Score the outputs that are new in the records added since the last call."""
        codes = {name: self._records.codes(name, self._scored_parts) for name in self._columns}
        self._scored_parts = self._records.part_count
        if not self._outputs.add(codes):
            return
        if self._fork is None:
            self._batch_scorer.score_block(self._outputs)
        else:
            self._fork.send(self._outputs.new_outputs())

    def _score_in_fork(self, messages: Iterator[NewOutputs]) -> ScoreTable:
        """In a fork: score the outputs that the parent sends."""
        for new_outputs in messages:
            self._outputs.add_new_outputs(new_outputs)
            self._batch_scorer.score_block(self._outputs)
        return self._batch_scorer.table()

    def finish(self) -> RunScores:
        """The scores of all records.

        Raises:
            DatasetError: see :func:`score_records`.
        """
        table = self._batch_scorer.table() if self._fork is None else self._fork.result()
        scorers = self._batch_scorer.scorers
        scores = RunScores(self._outputs, scorers, table, self._labels, self._checks)
        for label, scorer in scorers.items():
            if isinstance(scorer, StoredMarksScorer):
                scores.add_marked(label, score_marked(self._records, scorer))
        if "score" in self._records.column_names and IMPORTED not in scores.scores:
            values = _imported_scores(self._records, self._prompts)
            scores.add_imported(values, _count_errors(self._records))
        return scores


def _targets_json(prompts: pa.Table) -> list[str | None]:
    if "target_json" not in prompts.column_names:
        return [None] * prompts.num_rows
    return prompts.column("target_json").to_pylist()


def _count_errors(records: RecordStore) -> int:
    import pyarrow.compute

    pc: Any = pyarrow.compute
    return int(pc.sum(pc.equal(records["status"], Status.ERROR.value)).as_py() or 0)


def _imported_scores(records: RecordStore, prompts: pa.Table) -> npt.NDArray[np.float64]:
    """The scores that came with the records, under the rules that hold for every score."""
    import pyarrow.compute

    pc: Any = pyarrow.compute
    values = np.array(records["score"].to_numpy(), dtype=np.float64)
    status: Any = records["status"]
    targeted: Any = prompts.filter(pc.is_valid(prompts.column("target_json")))
    due = pc.is_in(records["prompt_id"], value_set=targeted.column("prompt_id"))
    refused = pc.and_(pc.equal(status, Status.REFUSED.value), due).to_numpy()
    values[np.isnan(values) & refused] = 0.0
    values[pc.equal(status, Status.ERROR.value).to_numpy()] = math.nan
    return values
