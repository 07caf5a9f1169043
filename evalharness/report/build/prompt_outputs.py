"""Outputs of a prompt as they are shown: what was said, the answer in it, and its scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from evalharness.columnar.record_store import RecordStore
from evalharness.report.build.scoring import ReportOverrides, score_run
from evalharness.scoring.run_scores import RunScores
from evalharness.store.folder.run import Run

if TYPE_CHECKING:
    import pyarrow as pa

#: Columns of records that are read here.
COLUMNS = ("trial_id", "prompt_id", "setting_id", "repeat", "status", "text", "refusal",
           "finish_reason", "error_kind", "error_message", "tool_calls_json", "answer",
           "score")  # fmt: skip


class OutputVerdict(NamedTuple):
    """What a scorer says of an output.

    Attributes:
        scorer: its name.
        score: in [0, 1]; None where it was not scored.
        judged: the part of the text that was judged; None where it was the whole.
        reason: in words.
    """

    scorer: str
    score: float | None
    judged: str | None
    reason: str


OutputVerdicts = tuple[OutputVerdict, ...]


class ShownOutput(NamedTuple):
    """What a record shows.

    Attributes:
        trial_id, setting_id, repeat, status: of the record.
        shown: the text; where there is none, the refusal, tool calls or error.
        text: as delivered; None where there was none.
        is_text: whether what is shown is the text.
        has_answers: whether answers are looked for in the text; never in that of an error.
        answer: what was found; None where none was.
        verdicts: of the scorers, the first is the score of the tables; none of an error.
    """

    trial_id: str
    setting_id: str
    repeat: int
    status: str
    shown: str
    text: str | None
    is_text: bool
    has_answers: bool
    answer: str | None
    verdicts: OutputVerdicts


def score_outputs(
    run: Run, records: pa.Table, prompts: pa.Table, overrides: ReportOverrides
) -> list[ShownOutput]:
    """The outputs of some records of a run, scored by its scoring or by what replaces it.

    Args:
        run: the run.
        records: with :data:`COLUMNS`.
        prompts: those of the records.
        overrides: may replace the scoring.

    Raises:
        ConfigError: the scoring cannot be read.
    """
    scored = score_run(run, RecordStore.of_table(records), prompts, overrides)
    rows = _rows(records)
    return [
        _output(
            row,
            scored.answers is not None and row["status"] != "error",
            None if scored.answers is None else scored.answers[position].as_py(),
            _verdicts(scored, position, row),
        )
        for position, row in enumerate(rows)
    ]


def unscored_outputs(records: pa.Table) -> list[ShownOutput]:
    """The same where they cannot be scored: without answers and scores."""
    rows = _rows(records)
    return [_output(row, False, None, ()) for row in rows]


def _rows(records: pa.Table) -> Sequence[Mapping[str, Any]]:
    return records.select([*COLUMNS]).to_pylist()


def _output(
    row: Mapping[str, Any],
    has_answers: bool,
    answer: str | None,
    verdicts: OutputVerdicts,
) -> ShownOutput:
    text, status = row["text"], row["status"]
    if status == "error":
        shown = f"{row['error_kind']}: {row['error_message'] or ''}"
    elif text is None or (not text and row["tool_calls_json"]):
        shown = row["refusal"] or row["tool_calls_json"] or row["error_message"] or ""
    else:
        shown = text
    return ShownOutput(
        trial_id=row["trial_id"],
        setting_id=row["setting_id"],
        repeat=row["repeat"],
        status=status,
        shown=shown,
        text=text,
        is_text=status != "error" and shown is text,
        has_answers=has_answers,
        answer=answer,
        verdicts=verdicts,
    )


def _verdicts(
    scored: RunScores, position: int, row: Mapping[str, Any]
) -> tuple[OutputVerdict, ...]:
    if row["status"] == "error":
        return ()
    whole = (row["text"] or "").strip()
    verdicts: list[OutputVerdict] = []
    for name in scored.scores:
        score = scored.explain(name, position)
        # A judged part of the text is repeated; the whole is shown anyway.
        part = score.answer if score.answer and score.answer.strip() != whole else None
        verdicts.append(OutputVerdict(name, score.value, part, score.explanation))
    return tuple(verdicts)
