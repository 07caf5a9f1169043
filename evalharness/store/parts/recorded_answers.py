"""The recorded answers of some trials, which later turns of their conversations hold."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

from evalharness.columnar.arrow_ops import where_in
from evalharness.records import AttemptResult
from evalharness.store.parts.part_files import PATTERN, read_sealed


class RecordedAnswer(NamedTuple):
    """What a record says of an answer; the columns of these names."""

    status: str
    text: str | None
    tool_calls_json: str | None
    error_kind: str | None


def read_recorded_answers(
    root: Path, unsealed: Iterable[AttemptResult], trial_ids: Collection[str]
) -> dict[str, RecordedAnswer]:
    """The answers of these trials, by trial_id; those without a record are absent.

    Args:
        root: the run folder.
        unsealed: final results that are in no part yet.
        trial_ids: of the trials.

    Raises:
        StorageError: a part is damaged.
    """
    import pyarrow as pa

    answers: dict[str, RecordedAnswer] = {}
    if not trial_ids:
        return answers
    wanted = pa.chunked_array([list(trial_ids)], pa.string())
    for path in sorted((root / "records").glob(PATTERN)):
        rows = where_in(
            read_sealed(path, ["trial_id", *RecordedAnswer._fields]), "trial_id", wanted
        )
        for row in rows.to_pylist():
            trial_id = row.pop("trial_id")
            answers[trial_id] = RecordedAnswer(**row)
    known = set(trial_ids)
    for result in unsealed:
        reply, trial_id = result.reply, result.intent.trial_id
        if trial_id in known:
            answers[trial_id] = RecordedAnswer(
                reply.status, reply.text, reply.tool_calls_json, reply.error_kind
            )
    return answers
