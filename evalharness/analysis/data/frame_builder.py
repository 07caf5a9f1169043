"""Builds a frame from the tables of a run: the rules on statuses, scores and targets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from evalharness.analysis.data import encode
from evalharness.analysis.data.encode import UNKNOWN, Bools, Floats, Ints
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.output_texts import output_codes
from evalharness.analysis.data.statuses import ERROR, OK, REFUSED, STATUSES
from evalharness.columnar.row_store import DictionaryEncoder
from evalharness.errors import DatasetError
from evalharness.records import Variant

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from evalharness.columnar.record_store import RecordStore
    from evalharness.store.parts.streaming_read import LazyColumns


def build_frame(
    records: RecordStore,
    prompts: pa.Table,
    settings: pa.Table,
    *,
    answers: Ints | None = None,
    scores: Mapping[str, npt.NDArray[Any]] | None = None,
    cost_usd: npt.NDArray[Any] | None = None,
    lazy_columns: LazyColumns | None = None,
    answer_texts: Any = None,
) -> RunFrame:
    """Encode a run.

    Args:
        records: the columns of :data:`~.frame.COLUMNS` that exist; absent ones count as all null.
        prompts: the prompts table; only ``prompt_id``, ``target_json``, ``cluster`` are read.
        settings: the settings table.
        answers: one code a record, negative where unparsed. Default: those of the records'
            ``answer`` column when any row of it is filled.
        scores: by scorer name, float64, NaN not scored; the first is the primary. Default: the
            records' ``score`` column when any row of it is filled.
        cost_usd: one a record, NaN unknown. Default: the imported cost when any is filled.
        lazy_columns, answer_texts: see the attributes of :class:`~.frame.RunFrame`.

    Raises:
        DatasetError: a status that is not one of :data:`~.statuses.STATUSES`.

    """
    fields = _encode_fields(records, prompts, settings, Overrides(answers, scores, cost_usd))
    return RunFrame(records=records, lazy_columns=lazy_columns, answer_texts=answer_texts, **fields)


class Overrides(NamedTuple):
    """Values that take the place of columns of the records: see :func:`build_frame`."""

    answers: Ints | None
    scores: Mapping[str, npt.NDArray[Any]] | None
    cost_usd: npt.NDArray[Any] | None


def _encode_fields(
    records: RecordStore, prompts: pa.Table, settings: pa.Table, overrides: Overrides
) -> dict[str, Any]:
    """The fields of :class:`~.frame.RunFrame`, those of records in its order."""
    setting_rows = [decode_setting(row) for row in settings.to_pylist()]
    setting_ids = [str(row["setting_id"]) for row in setting_rows]
    setting, extra = _recode(records, "setting_id", setting_ids)
    extra_rows: list[dict[str, Any]] = [{"setting_id": name, "label": name} for name in extra]
    prompt_ids = [str(name) for name in prompts["prompt_id"].to_pylist()]
    prompt, extra_prompts = _recode(records, "prompt_id", prompt_ids)
    repeat = fill_nulls(records, "repeat", 0).astype(np.int64)
    rows = encode.narrow(encode.sort_order(setting, prompt, repeat))
    has_target = target_mask(prompts, len(extra_prompts))
    take = encode.take
    # Columns are encoded one by one and freed early, since there may be very many records.
    fields: dict[str, Any] = {
        "setting_ids": setting_ids + extra,
        "prompt_ids": prompt_ids + extra_prompts,
        "setting_rows": setting_rows + [decode_setting(row) for row in extra_rows],
        "has_target": has_target,
        "clusters": cluster_codes(prompts, len(extra_prompts)),
        "rows": rows,
        "setting": take(encode.narrow(setting, at_least=np.int8), rows),
        "repeat": take(encode.narrow(repeat, at_least=np.int8), rows),
        "prompt": take(prompt, rows),
    }
    del setting, repeat
    status = status_codes(records)
    final = apply_score_rules(records, overrides.scores, status, has_target[prompt])
    fields["scores"] = {name: take(score, rows) for name, score in final.items()}
    del final
    answer = answer_codes(records, overrides.answers)
    fields["answer"] = None if answer is None else take(answer, rows)
    cost = record_costs(records, overrides.cost_usd)
    fields["cost_usd"] = None if cost is None else take(cost, rows)
    output = encode.narrow(output_codes(records, status == OK))
    return fields | {"status": take(status, rows), "output": take(output, rows)}


def _recode(records: RecordStore, column: str, known: list[str]) -> tuple[Ints, list[str]]:
    return encode.recode(records.codes(column), records.encoders[column].values, known)


def decode_setting(row: dict[str, Any]) -> dict[str, Any]:
    """Return a settings row with its JSON columns decoded."""
    decoded = {
        key: msgspec.json.decode(row.get(f"{key}_json") or "{}") for key in ("params", "axes")
    }
    names = msgspec.json.decode(row.get("variants_json") or "{}", type=dict[str, Variant])
    return {**row, **decoded, "variants": names}


def fill_nulls(records: RecordStore, column: str, default: float) -> Floats:
    """Return a numeric column with its nulls, or its absence, filled."""
    if column not in records.column_names:
        return np.full(records.num_rows, default)
    values = encode.to_floats(records[column])
    values[np.isnan(values)] = default
    return values


def status_codes(records: RecordStore) -> Ints:
    """Return indices into :data:`STATUSES`.

    Raises:
        DatasetError: a status that is not one of them.

    """
    codes, others = _recode(records, "status", list(STATUSES))
    if others:
        raise DatasetError(
            f"records have the unknown status {others[0]!r}",
            hint=f"a status is one of {', '.join(STATUSES)}",
        )
    return codes.astype(np.int8)


def answer_codes(records: RecordStore, answers: Ints | None) -> Ints | None:
    """Return the codes of ``answers``, else of those in the records; None without any."""
    if answers is None:
        return records.codes("answer") if "answer" in records.column_names else None
    if len(answers) != records.num_rows:
        raise ValueError(f"{len(answers)} answers for {records.num_rows} records")
    return np.maximum(answers, UNKNOWN)


def apply_score_rules(
    records: RecordStore,
    scores: Mapping[str, npt.NDArray[Any]] | None,
    status: Ints,
    target: Bools,
) -> dict[str, Floats]:
    """Apply the rules for errors and refusals to scores.

    Errors are never scored; a refused record counts 0 where it has a target, else it is not scored.
    Scorers know of a refused record whether an answer was due, so that their scores of it stay.

    Args:
        records: the records.
        scores: by scorer; None or empty takes the ``score`` column of the records.
        status: of each record.
        target: whether the prompt of each record has a target.
    """
    refused, failed = status == REFUSED, status == ERROR
    if not scores:
        if "score" not in records.column_names:
            return {}
        imported = np.array(encode.to_floats(records["score"]), dtype=np.float64)
        imported[refused] = np.where(target[refused], 0.0, np.nan)
        scores = {"score": imported}
    out: dict[str, Floats] = {}
    for name, values in scores.items():
        if len(values) != len(status):
            raise ValueError(f"{len(values)} scores of {name} for {len(status)} records")
        score = np.array(values, dtype=np.float64)
        score[failed] = np.nan
        out[name] = score
    return out


def record_costs(records: RecordStore, cost_usd: npt.NDArray[Any] | None) -> Floats | None:
    """Return ``cost_usd``, else the imported cost of each record, else None."""
    if cost_usd is not None:
        return np.asarray(cost_usd, dtype=np.float64)
    if "cost_usd_imported" in records.column_names:
        return encode.to_floats(records["cost_usd_imported"])
    return None


def target_mask(prompts: pa.Table, extra: int) -> Bools:
    """Which prompts have a target; ``extra`` more prompts are not in the table and have none."""
    known = np.zeros(prompts.num_rows, np.bool_)
    if "target_json" in prompts.column_names:
        filled = np.asarray(prompts["target_json"].is_valid().to_numpy(), dtype=np.bool_)
        # JSON null is no target.
        known = filled & np.array([text != "null" for text in prompts["target_json"].to_pylist()])
    return np.r_[known, np.zeros(extra, np.bool_)]


def cluster_codes(prompts: pa.Table, extra: int) -> Ints | None:
    """Return cluster numbers; a prompt without a cluster gets one of its own."""
    column = prompts["cluster"] if "cluster" in prompts.column_names else None
    if column is None or column.null_count == len(column):
        return None
    codes = np.r_[DictionaryEncoder().codes(column), np.full(extra, UNKNOWN)]
    alone = np.flatnonzero(codes == UNKNOWN)
    codes[alone] = codes.max() + 1 + np.arange(len(alone))
    return codes
