"""Scores and answers of a whole run: each distinct output judged once, then broadcast."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec

from evalharness.errors import ConfigError
from evalharness.records import Status
from evalharness.scorers.answers import Extractor, Parsed
from evalharness.scorers.base import NOTHING_ANSWERED, Sample, Score, Scorer
from evalharness.scorers.distinct import Samples, distinct
from evalharness.scorers.patterns import TIMED_OUT

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from evalharness.texts import Texts

GIVE_UP_AFTER = 10  # texts on which a pattern took too long before it is tried no more
IMPORTED = "imported"  # name of the scores that came with an import
_GAVE_UP = f"not tried: the pattern took too long on {GIVE_UP_AFTER} other texts"

_HOPELESS = Score(None, None, _GAVE_UP)

_OUTPUT = ("prompt_id", "text", "status", "finish_reason", "tool_calls_json")


class AnswerStatus(StrEnum):
    """What answer extraction came to for one record."""

    PARSED = "parsed"
    UNPARSED = "unparsed"  # delivered, and no answer in it: agrees with nothing
    FAILED = "failed"  # extraction could not be tried (a pattern over its time limit)
    NONE = "none"  # an error record: nothing was said


class Scored:
    """Scores of all records of a run, aligned with the records table.

    Attributes:
        scores: label → float64 array, one value a record in [0, 1]; NaN is "not scored". Scores
            that came with an import stand last, under ``imported``.
        answers: parsed answers (Arrow dictionary of strings, null: none); None when no
            answers are defined.
        answer_status: :class:`AnswerStatus` of each record (dictionary-encoded), or None.

    """

    def __init__(
        self, samples: Samples, index: npt.NDArray[np.intp], judged: dict[str, _Judged]
    ) -> None:
        self.scores: dict[str, npt.NDArray[np.float64]] = {
            label: one.values[index] for label, one in judged.items()
        }
        self.answers: pa.DictionaryArray[Any, Any] | None = None
        self.answer_status: pa.DictionaryArray[Any, Any] | None = None
        self._samples = samples
        self._index = index
        self._judged = judged
        self._imported_nulls: dict[str, int] = {}

    def add_imported(self, values: npt.NDArray[np.float64], errors: int) -> None:
        """Put the scores that came with an import last; ``errors`` of the records failed."""
        import numpy as np

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
        if label not in self._judged:
            return Score(None if math.isnan(value) else value, None, "came with the import")
        judged, place = self._judged[label], int(self._index[row])
        reason = judged.reasons.get(place)
        if reason is not None:
            return Score(None, None, reason)
        return judged.scorer.score(self._samples[place])

    def why_null(self, label: str) -> dict[str, int]:
        """How many records this scorer left without a score, by reason, most frequent first."""
        import numpy as np

        if label not in self._judged:
            return self._imported_nulls
        uses = np.bincount(self._index, minlength=len(self._samples))
        counts: Counter[str] = Counter()
        for place, reason in self._judged[label].reasons.items():
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
        scorers: from :func:`~evalharness.scorers.parse_scoring`.
        extractor: from :func:`~evalharness.scorers.parse_answer_spec`.
        answers_supplied: see above.
        texts: what the numbers in columns of outputs stand for, where they hold numbers.

    Raises:
        ConfigError: a scorer has ``of: answer`` and no answers are defined; two equal labels.
        DatasetError: a record of a prompt that the prompts table does not hold.

    """
    if answers_supplied is None:
        answers_supplied = _any_value(records, "answer")
    supplied = extractor is None and answers_supplied
    judged = _labelled(scorers, answers_known=supplied or extractor is not None)
    columns = [*_OUTPUT, "answer"] if supplied else _OUTPUT
    first, index = distinct(records, [name for name in columns if name in records.column_names])
    samples = Samples(records, prompts, first, texts)
    answering = None
    if supplied or extractor is not None:
        answering = _Answering(extractor, samples.supplied_answers() if supplied else None)
    for start, batch in samples.batches(None if answering is None else answering.answer):
        for one in judged.values():
            one.judge(start, batch)
    scored = Scored(samples, index, {label: one.finished() for label, one in judged.items()})
    if _any_value(records, "score") and IMPORTED not in scored.scores:
        scored.add_imported(_imported(records, prompts), _errors(records))
    if answering is not None:
        samples.answers = answering.answers
        _broadcast_answers(scored, answering, index)
    return scored


class _Judged(msgspec.Struct, frozen=True):
    """One scorer's values a distinct output, and the reasons of the null ones."""

    scorer: Scorer
    values: npt.NDArray[np.float64]
    reasons: dict[int, str]


class _Judge:
    """Applies one scorer, and gives up on a pattern that keeps taking too long."""

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer
        self._values: list[float] = []
        self._reasons: dict[int, str] = {}
        self._timeouts = 0

    def judge(self, start: int, batch: list[Sample]) -> None:
        """Score the samples that stand from place ``start`` on."""
        score = self.scorer.score
        append = self._values.append
        for place, sample in enumerate(batch, start):
            one = _HOPELESS if self._timeouts >= GIVE_UP_AFTER else score(sample)
            if one.value is None:
                self._reasons[place] = one.explanation
                self._timeouts += one.explanation == TIMED_OUT
                append(math.nan)
            else:
                append(one.value)

    def finished(self) -> _Judged:
        """Collect the values of all samples judged."""
        import numpy as np

        return _Judged(self.scorer, np.array(self._values, dtype=np.float64), self._reasons)


def _labelled(scorers: Sequence[Scorer], *, answers_known: bool) -> dict[str, _Judge]:
    judged: dict[str, _Judge] = {}
    for place, scorer in enumerate(scorers):
        label = scorer.label or type(scorer).__name__.lower()
        if label in judged:
            raise ConfigError(f"configuration key `scoring[{place}].label`: {label!r} is taken")
        if scorer.of == "answer" and not answers_known:
            raise ConfigError(
                f"configuration key `scoring[{place}].of`: is `answer`, and no answer is defined",
                hint="add e.g. answer={last_number: true}",
            )
        judged[label] = _Judge(scorer)
    return judged


def _any_value(records: pa.Table, name: str) -> bool:
    return name in records.column_names and records.column(name).null_count < records.num_rows


class _Answering:
    """Takes the answer out of one output after the other; without an extractor, the supplied one.

    Attributes:
        answers: of the outputs so far, None where there is none.
        statuses: what it came to.

    """

    def __init__(self, extractor: Extractor | None, supplied: list[str | None] | None) -> None:
        self.answers: list[str | None] = []
        self.statuses: list[AnswerStatus] = []
        self._extractor = extractor
        self._supplied = supplied
        self._timeouts = 0

    def answer(self, status: Status, text: str | None) -> str | None:
        """Answer of the next output."""
        if status is Status.ERROR:
            one, found = None, AnswerStatus.NONE
        elif self._extractor is None:
            one = self._supplied[len(self.answers)] if self._supplied is not None else None
            found = AnswerStatus.UNPARSED if one is None else AnswerStatus.PARSED
        else:
            parsed = (
                Parsed(None, _GAVE_UP, failed=True)
                if self._timeouts >= GIVE_UP_AFTER
                else self._extractor.parse(text)
            )
            self._timeouts += parsed.reason == TIMED_OUT
            one, found = parsed.answer, _status(parsed)
        self.answers.append(one)
        self.statuses.append(found)
        return one


def _status(parsed: Parsed) -> AnswerStatus:
    if parsed.answer is not None:
        return AnswerStatus.PARSED
    return AnswerStatus.FAILED if parsed.failed else AnswerStatus.UNPARSED


def _broadcast_answers(scored: Scored, answering: _Answering, index: npt.NDArray[np.intp]) -> None:
    import numpy as np
    import pyarrow

    pa: Any = pyarrow
    distinct = pa.array(answering.answers, type=pa.string()).dictionary_encode()
    scored.answers = distinct.take(pa.array(index))
    places = {status: place for place, status in enumerate(AnswerStatus)}
    codes = np.array([places[status] for status in answering.statuses], dtype=np.int8)
    words = pa.array([status.value for status in AnswerStatus])
    scored.answer_status = pa.DictionaryArray.from_arrays(pa.array(codes[index]), words)


def _errors(records: pa.Table) -> int:
    import pyarrow.compute

    pc: Any = pyarrow.compute
    return int(pc.sum(pc.equal(records.column("status"), Status.ERROR.value)).as_py() or 0)


def _imported(records: pa.Table, prompts: pa.Table) -> npt.NDArray[np.float64]:
    """Take scores that came with the records, by the rules that hold for every score."""
    import numpy as np
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
