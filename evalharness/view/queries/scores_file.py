"""Scores, answers and costs of every record as a file, made by the report's own code.

A process of its own makes it (:mod:`evalharness.view.content.build`): to score is to read every
output of a run.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from evalharness.analysis.data import variants
from evalharness.columnar.arrow_ops import read_parquet
from evalharness.report.build.compared_runs import RunComparison
from evalharness.report.build.open_run import RunData, open_source, read_source
from evalharness.report.build.scoring import ReportOverrides
from evalharness.store.folder.run import Run
from evalharness.store.parts.streaming_read import ROW, Snapshot

if TYPE_CHECKING:
    import pyarrow as pa

    from evalharness.analysis.data.frame import RunFrame


class ScoresFile(NamedTuple):
    """What a file holds.

    Attributes:
        scorers: their labels; the scores by each are in a column ``score_0``, ``score_1``, …
        has_answers: whether answers are extracted, and in the column ``answer``.
    """

    scorers: list[str]
    has_answers: bool


def write_scores(run: Run, parts: Sequence[str], unsealed: str | None, target: Path) -> ScoresFile:
    """Score the records of some parts and of a file with those of the journal, in this order.

    The columns: ``row``, the number of the record among them; a score each scorer; ``answer``;
    ``output_variants`` and ``answer_variants``, how many different ones the prompt has under the
    setting, null below two repeats; ``cost_usd``.

    Raises:
        ConfigError, StorageError: as for a report.
    """
    rows = None if unsealed is None else read_parquet(Path(unsealed))
    fixed = _FixedRun(run.root, run.manifest)
    fixed.fixed = Snapshot("records", [Path(part) for part in parts], rows)
    data = read_source(open_source(fixed, ReportOverrides(include_inactive=True)), numbered=True)
    _write(_score_table(data), target)
    return ScoresFile([*data.frame.scores], data.frame.answer is not None)


def write_regressions(run: Run, baseline: Run, target: Path) -> list[str]:
    """Write which prompts scored lower under a setting than in another run, as ``compare`` says it.

    The columns: ``prompt_id`` and ``setting_id`` in ``run``, and ``every``, whether no repeat
    scores as high as any repeat there. The answer is what keeps the runs from being compared.

    Raises:
        ConfigError, StorageError: as for a comparison.
    """
    import pyarrow

    pa: Any = pyarrow
    runs = RunComparison([str(baseline.root), str(run.root)], ReportOverrides())
    name = next(name for name, s in runs.sources.items() if s.run.root.resolve() == run.root)
    renamed = {match.run: match.renamed for match in runs.facts.prompts}.get(name, {})
    own_ids: dict[str, list[str]] = {}
    for prompt_id in map(str, runs.sources[name].frame.prompt_ids):
        own_ids.setdefault(renamed.get(prompt_id, prompt_id), []).append(prompt_id)
    regressed = [
        (prompt_id, change.after.setting_id, change.every_repeat)
        for change in runs.changes()
        if "regressed" in change.kinds and change.after.run == name
        for prompt_id in own_ids.get(change.prompt_id, ())
    ]
    columns = list(zip(*regressed, strict=True)) or [(), (), ()]
    types = [("prompt_id", pa.string()), ("setting_id", pa.string()), ("every", pa.bool_())]
    _write(pa.table([*columns], schema=pa.schema(types)), target)
    return runs.facts.obstacles


class _FixedRun(Run):
    """A run whose records are those of one moment, whatever was recorded since."""

    fixed: Snapshot

    def snapshot(self, name: str) -> Snapshot:
        return self.fixed if name == "records" else super().snapshot(name)


def _score_table(data: RunData) -> pa.Table:
    import pyarrow as pa

    frame = data.frame
    columns: dict[str, Any] = {ROW: pa.array(frame.values(ROW).astype(np.int64))}
    for index, values in enumerate(frame.scores.values()):
        columns[f"score_{index}"] = _numbers(values)
    columns["answer"] = _answers(frame)
    columns["output_variants"] = _counts(frame, frame.output_variants)
    columns["answer_variants"] = _counts(frame, frame.answer_variants)
    nothing = np.broadcast_to(np.nan, len(frame.rows))
    columns["cost_usd"] = _numbers(nothing if frame.cost_usd is None else frame.cost_usd)
    return pa.table(columns)


def _numbers(values: Any) -> Any:
    import pyarrow as pa

    return pa.array(np.asarray(values, np.float64), pa.float64(), mask=np.isnan(values))


def _counts(frame: RunFrame, counted: variants.VariantCounts | None) -> Any:
    import pyarrow as pa

    if counted is None:
        return pa.nulls(len(frame.rows), pa.int32())
    by_record = variants.distinct_outputs(counted)[frame.cell]
    unknown = np.isnan(by_record)
    return pa.array(np.where(unknown, 0, by_record).astype(np.int32), mask=unknown)


def _answers(frame: RunFrame) -> Any:
    """The answers as a dictionary column; null where there is none."""
    import pyarrow

    pa: Any = pyarrow
    if frame.answer is None:
        return pa.nulls(len(frame.rows), pa.string())
    distinct, codes = np.unique(frame.answer, return_inverse=True)
    first = np.unique(codes, return_index=True)[1]
    texts = pa.array([text or "" for text in frame.answers_of(first)], pa.string())
    indices = pa.array(codes.astype(np.int32), mask=distinct[codes] < 0)
    return pa.DictionaryArray.from_arrays(indices, texts)


def _write(table: pa.Table, target: Path) -> None:
    import pyarrow.parquet

    parquet: Any = pyarrow.parquet
    parquet.write_table(table, target)
