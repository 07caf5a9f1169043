"""Scores and answers of a whole run: each unique output is scored once."""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from evalharness.columnar.row_store import Codes, DictionaryEncoder
from evalharness.columnar.text_pool import TextPool
from evalharness.process.fork import ForkedTask
from evalharness.records import Status
from evalharness.scoring.answer_extraction import Extractor
from evalharness.scoring.base import REASON_ERROR_RECORD, Score, Scorer
from evalharness.scoring.score_batches import BatchScorer, ScoreTable
from evalharness.scoring.unique_outputs import KEY_COLUMNS, TEXT_COLUMNS, NewOutputs, UniqueOutputs

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

IMPORTED = "imported"  # name of the scores that came with an import


class RunScores:
    """Scores of all records of a run, aligned with the records table.

    Attributes:
        scores: label → float64 array, one value a record in [0, 1]; NaN is "not scored". Scores
            that came with an import stand last, under ``imported``.
        answers: parsed answers (Arrow dictionary of strings, null: none); None when no
            answers are defined.
        answer_status: :class:`AnswerStatus` of each record (dictionary-encoded), or None.

    """

    def __init__(
        self, outputs: UniqueOutputs, scorers: Mapping[str, Scorer], table: ScoreTable
    ) -> None:
        self._index = outputs.complete()
        self.scores: dict[str, npt.NDArray[np.float64]] = {
            label: result.values[self._index] for label, result in table.scores.items()
        }
        self.answers: pa.DictionaryArray[Any, Any] | None = None
        self.answer_status: pa.DictionaryArray[Any, Any] | None = None
        if table.answers is not None:
            self.answers, self.answer_status = table.answers.for_records(self._index)
        self._outputs = outputs
        self._scorers = scorers
        self._table = table
        self._imported_nulls: dict[str, int] = {}

    def add_imported(self, values: npt.NDArray[np.float64], errors: int) -> None:
        """Append the scores of an import; ``errors`` is the number of error records."""
        self.scores[IMPORTED] = values
        nulls = int(np.isnan(values).sum())
        reasons = {REASON_ERROR_RECORD: errors, "the import gave no score": nulls - errors}
        self._imported_nulls = {reason: count for reason, count in reasons.items() if count}

    def explain(self, label: str, row: int) -> Score:
        """Compute the full score of one record again, with its explanation.

        Raises:
            KeyError: no score has this label.

        """
        value = float(self.scores[label][row])
        if label not in self._scorers:
            return Score(None if math.isnan(value) else value, None, "came with the import")
        output = int(self._index[row])
        reason = self._table.scores[label].reasons.get(output)
        if reason is not None:
            return Score(None, None, reason)
        answer = None if self._table.answers is None else self._table.answers.answer_of(output)
        return self._scorers[label].score(self._outputs.sample(output, answer))

    def why_null(self, label: str) -> dict[str, int]:
        """How many records this scorer left without a score, by reason, most frequent first."""
        if label not in self._scorers:
            return self._imported_nulls
        uses = np.bincount(self._index, minlength=len(self._outputs))
        counts: Counter[str] = Counter()
        for output, reason in self._table.scores[label].reasons.items():
            counts[reason] += int(uses[output])
        return dict(counts.most_common())


def score_records(
    records: pa.Table,
    prompts: pa.Table,
    scorers: Sequence[Scorer],
    extractor: Extractor | None,
    *,
    answers_supplied: bool | None = None,
    texts: TextPool | None = None,
) -> RunScores:
    """Score every record by every scorer and extract every answer.

    Without an extractor, answers are those in the ``answer`` column of an import:
    ``answers_supplied`` says whether there was one (None: when any is not null). Scores in the
    ``score`` column of an import are passed on; there too an error record has none, and a refused
    record without one counts 0 where it has a target.

    Args:
        records: needs ``prompt_id text status``; ``finish_reason tool_calls_json answer score``
            are used when present.
        prompts: needs ``prompt_id target_json``; ``fields_json tags messages_json`` are used when
            present.
        scorers: from :func:`~evalharness.scoring.parse_scoring`.
        extractor: from :func:`~evalharness.scoring.parse_answer_spec`.
        answers_supplied: see above.
        texts: the pool that the numbers in columns of outputs refer to, where they hold numbers.

    Raises:
        ConfigError: a scorer has ``of: answer`` and no answers are defined; two equal labels.
        DatasetError: a record of a prompt that the prompts table does not hold.

    """
    if answers_supplied is None:
        answers_supplied = _has_values(records, "answer")
    supplied = extractor is None and answers_supplied
    pool = TextPool() if texts is None else texts
    with RunScorer(prompts, scorers, extractor, supplied=supplied, texts=pool) as scorer:
        scorer.add(scorer.encode(records, are_codes=texts is not None))
        return scorer.finish(records, prompts)


class RunScorer:
    """Scores the records of a run block by block, each unique output once. A context manager.

    Args:
        prompts, scorers, extractor: see :func:`score_records`.
        supplied: the answers are those in the ``answer`` column.
        texts: the pool of the outputs' texts.
        encoders: of the key columns, where the caller encodes them.
        use_fork: score in a fork of this process (:class:`~evalharness.process.fork.ForkedTask`),
            while this one reads on; here where the system allows no fork, or a scorer is not
            fork-safe.

    Raises:
        ConfigError: see :func:`score_records`.

    """

    def __init__(
        self,
        prompts: pa.Table,
        scorers: Sequence[Scorer],
        extractor: Extractor | None,
        *,
        supplied: bool,
        texts: TextPool,
        encoders: Mapping[str, DictionaryEncoder] | None = None,
        use_fork: bool = False,
    ) -> None:
        self._supplied = supplied
        self._texts = texts
        self._encoders = (
            {name: DictionaryEncoder() for name in KEY_COLUMNS} if encoders is None else encoders
        )
        self._batch_scorer = BatchScorer(scorers, extractor, supplied=supplied)
        self._outputs = UniqueOutputs(prompts, self._encoders, texts)
        self._fork: ForkedTask[ScoreTable] | None = None
        if use_fork and all(scorer.fork_safe for scorer in scorers):
            texts.share()
            with contextlib.suppress(OSError):  # the system allows no further process
                self._fork = ForkedTask(self._score_in_fork, "judging outputs")

    def __enter__(self) -> RunScorer:
        return self

    def __exit__(self, *_: object) -> None:
        if self._fork is not None:
            self._fork.close()

    def encode(self, records: pa.Table, *, are_codes: bool) -> dict[str, Codes]:
        """The codes of the columns of records, as :meth:`add` takes them.

        ``are_codes``: texts and tool calls are numbers of the pool's texts already.
        """
        import pyarrow as pa

        present = records.column_names
        codes = {
            n: self._encoders[n].codes(_single_array(records, n))
            for n in KEY_COLUMNS
            if n in present
        }
        for name in TEXT_COLUMNS:
            if name in present and (name != "answer" or self._supplied):
                column = _single_array(records, name)
                if name == "answer" or not are_codes:
                    if pa.types.is_dictionary(column.type):
                        column = column.cast(column.type.value_type)
                    column = self._texts.add(column)
                codes[name] = np.asarray(column.fill_null(-1)).astype(np.int32, copy=False)
        return codes

    def add(self, codes: Mapping[str, Codes]) -> None:
        """Score the outputs that are new in a block of records, the same columns in every block.

        Codes are those of the key encoders and the text pool, negative for null.
        """
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

    def finish(self, records: Any, prompts: pa.Table) -> RunScores:
        """The scores of all records.

        Args:
            records: all of them, for the scores that came with them; ``score``, ``prompt_id`` and
                ``status`` are read.
            prompts: the prompts table.

        Raises:
            DatasetError: see :func:`score_records`.
        """
        table = self._batch_scorer.table() if self._fork is None else self._fork.result()
        scores = RunScores(self._outputs, self._batch_scorer.scorers, table)
        if _has_values(records, "score") and IMPORTED not in scores.scores:
            scores.add_imported(_imported_scores(records, prompts), _count_errors(records))
        return scores


def _single_array(records: pa.Table, name: str) -> Any:
    """A column as one array, with 64-bit offsets where its texts might not fit into 2 GiB."""
    import pyarrow as pa

    column: Any = records.column(name)
    if pa.types.is_string(column.type) and column.nbytes >= 2**31 - 1:
        column = column.cast(pa.large_string())
    return column.combine_chunks()


def _has_values(records: pa.Table, name: str) -> bool:
    return name in records.column_names and records.column(name).null_count < records.num_rows


def _count_errors(records: pa.Table) -> int:
    import pyarrow.compute

    pc: Any = pyarrow.compute
    return int(pc.sum(pc.equal(records.column("status"), Status.ERROR.value)).as_py() or 0)


def _imported_scores(records: pa.Table, prompts: pa.Table) -> npt.NDArray[np.float64]:
    """The scores that came with the records, under the rules that hold for every score."""
    import pyarrow.compute

    pc: Any = pyarrow.compute
    values = np.array(records.column("score").to_numpy(), dtype=np.float64)
    status: Any = records.column("status")
    targeted: Any = prompts.filter(pc.is_valid(prompts.column("target_json")))
    due = pc.is_in(records.column("prompt_id"), value_set=targeted.column("prompt_id"))
    refused = pc.and_(pc.equal(status, Status.REFUSED.value), due).to_numpy()
    values[np.isnan(values) & refused] = 0.0
    values[pc.equal(status, Status.ERROR.value).to_numpy()] = math.nan
    return values
