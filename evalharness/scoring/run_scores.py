"""Scores and answers of a whole run: each distinct output judged once, then broadcast."""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from evalharness.columnar.row_store import Codes, Keys
from evalharness.columnar.text_pool import Texts
from evalharness.process.fork import Forked
from evalharness.records import Status
from evalharness.scoring.answer_extraction import Extractor
from evalharness.scoring.base import NOTHING_ANSWERED, Score, Scorer
from evalharness.scoring.score_batches import Marker, Marks
from evalharness.scoring.unique_outputs import KEYS, TEXTS, News, Samples

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

IMPORTED = "imported"  # name of the scores that came with an import


class Scored:
    """Scores of all records of a run, aligned with the records table.

    Attributes:
        scores: label → float64 array, one value a record in [0, 1]; NaN is "not scored". Scores
            that came with an import stand last, under ``imported``.
        answers: parsed answers (Arrow dictionary of strings, null: none); None when no
            answers are defined.
        answer_status: :class:`AnswerStatus` of each record (dictionary-encoded), or None.

    """

    def __init__(self, samples: Samples, scorers: Mapping[str, Scorer], marks: Marks) -> None:
        self._index = samples.complete()
        self.scores: dict[str, npt.NDArray[np.float64]] = {
            label: one.values[self._index] for label, one in marks.scores.items()
        }
        self.answers: pa.DictionaryArray[Any, Any] | None = None
        self.answer_status: pa.DictionaryArray[Any, Any] | None = None
        if marks.answers is not None:
            self.answers, self.answer_status = marks.answers.of(self._index)
        self._samples = samples
        self._scorers = scorers
        self._marks = marks
        self._imported_nulls: dict[str, int] = {}

    def add_imported(self, values: npt.NDArray[np.float64], errors: int) -> None:
        """Put the scores that came with an import last; ``errors`` of the records failed."""
        self.scores[IMPORTED] = values
        nulls = int(np.isnan(values).sum())
        reasons = {NOTHING_ANSWERED: errors, "the import gave no score": nulls - errors}
        self._imported_nulls = {reason: count for reason, count in reasons.items() if count}

    def explain(self, label: str, row: int) -> Score:
        """Make the full score of one record again, on demand.

        Raises:
            KeyError: no score has this label.

        """
        value = float(self.scores[label][row])
        if label not in self._scorers:
            return Score(None if math.isnan(value) else value, None, "came with the import")
        place = int(self._index[row])
        reason = self._marks.scores[label].reasons.get(place)
        if reason is not None:
            return Score(None, None, reason)
        answer = None if self._marks.answers is None else self._marks.answers.at(place)
        return self._scorers[label].score(self._samples.one(place, answer))

    def why_null(self, label: str) -> dict[str, int]:
        """How many records this scorer left without a score, by reason, most frequent first."""
        if label not in self._scorers:
            return self._imported_nulls
        uses = np.bincount(self._index, minlength=len(self._samples))
        counts: Counter[str] = Counter()
        for place, reason in self._marks.scores[label].reasons.items():
            counts[reason] += int(uses[place])
        return dict(counts.most_common())


def score_records(
    records: pa.Table,
    prompts: pa.Table,
    scorers: Sequence[Scorer],
    extractor: Extractor | None,
    *,
    answers_supplied: bool | None = None,
    texts: Texts | None = None,
) -> Scored:
    """Judge every record by every scorer and extract every answer.

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
        texts: what the numbers in columns of outputs stand for, where they hold numbers.

    Raises:
        ConfigError: a scorer has ``of: answer`` and no answers are defined; two equal labels.
        DatasetError: a record of a prompt that the prompts table does not hold.

    """
    if answers_supplied is None:
        answers_supplied = _any_value(records, "answer")
    supplied = extractor is None and answers_supplied
    found = Texts() if texts is None else texts
    with Grader(prompts, scorers, extractor, supplied=supplied, texts=found) as grader:
        grader.add(grader.coded(records, numbered=texts is not None))
        return grader.finished(records, prompts)


class Grader:
    """Judges the records of a run block by block, each distinct output once. A context manager.

    Args:
        prompts, scorers, extractor: see :func:`score_records`.
        supplied: the answers are those in the ``answer`` column.
        texts: numbers the texts of the outputs.
        keys: numbers of the columns of few values, where somebody else gives them.
        aside: judge in a copy of this process (:class:`~evalharness.process.fork.Forked`), while
            this one reads on; where no further process can be had, or a scorer is a user's, it is
            here.

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
        texts: Texts,
        keys: Mapping[str, Keys] | None = None,
        aside: bool = False,
    ) -> None:
        self._supplied = supplied
        self._texts = texts
        self._keys = {name: Keys() for name in KEYS} if keys is None else keys
        self._marker = Marker(scorers, extractor, supplied=supplied)
        self._samples = Samples(prompts, self._keys, texts)
        self._copy: Forked[Marks] | None = None
        if aside and all(scorer.fits_copies for scorer in scorers):
            texts.share()
            with contextlib.suppress(OSError):  # the system makes no further process
                self._copy = Forked(self._mark_all, "judging outputs")

    def __enter__(self) -> Grader:
        return self

    def __exit__(self, *_: object) -> None:
        if self._copy is not None:
            self._copy.close()

    def coded(self, records: pa.Table, *, numbered: bool) -> dict[str, Codes]:
        """The columns of records as :meth:`add` takes them.

        ``numbered``: texts and tool calls are numbers of the texts already.
        """
        import pyarrow as pa

        there = records.column_names
        codes = {n: self._keys[n].codes(_whole(records, n)) for n in KEYS if n in there}
        for name in TEXTS:
            if name in there and (name != "answer" or self._supplied):
                column = _whole(records, name)
                if name == "answer" or not numbered:
                    if pa.types.is_dictionary(column.type):
                        column = column.cast(column.type.value_type)
                    column = self._texts.add(column)
                codes[name] = np.asarray(column.fill_null(-1)).astype(np.int32, copy=False)
        return codes

    def add(self, codes: Mapping[str, Codes]) -> None:
        """Judge the outputs that are new in a block of records, the same columns in every block.

        Codes are numbers of the grader's keys and texts, negative for null.
        """
        if not self._samples.add(codes):
            return
        if self._copy is None:
            self._marker.mark(self._samples)
        else:
            self._copy.send(self._samples.news())

    def _mark_all(self, messages: Iterator[News]) -> Marks:
        """In a copy of the process: judge what the original sends."""
        for news in messages:
            self._samples.adopt(news)
            self._marker.mark(self._samples)
        return self._marker.marks()

    def finished(self, records: Any, prompts: pa.Table) -> Scored:
        """The scores of all records.

        Args:
            records: all of them, for the scores that came with them; ``score``, ``prompt_id`` and
                ``status`` are read.
            prompts: the prompts table.

        Raises:
            DatasetError: see :func:`score_records`.
        """
        marks = self._marker.marks() if self._copy is None else self._copy.result()
        scored = Scored(self._samples, self._marker.scorers, marks)
        if _any_value(records, "score") and IMPORTED not in scored.scores:
            scored.add_imported(_imported(records, prompts), _errors(records))
        return scored


def _whole(records: pa.Table, name: str) -> Any:
    """A column as one array, with 64-bit offsets where its texts might not fit into 2 GiB."""
    import pyarrow as pa

    column: Any = records.column(name)
    if pa.types.is_string(column.type) and column.nbytes >= 2**31 - 1:
        column = column.cast(pa.large_string())
    return column.combine_chunks()


def _any_value(records: pa.Table, name: str) -> bool:
    return name in records.column_names and records.column(name).null_count < records.num_rows


def _errors(records: pa.Table) -> int:
    import pyarrow.compute

    pc: Any = pyarrow.compute
    return int(pc.sum(pc.equal(records.column("status"), Status.ERROR.value)).as_py() or 0)


def _imported(records: pa.Table, prompts: pa.Table) -> npt.NDArray[np.float64]:
    """Take scores that came with the records, by the rules that hold for every score."""
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
