"""Builds a frame from the tables of a run: the rules on statuses, scores and targets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from evalharness.analysis.data import encode, output_texts
from evalharness.analysis.data.encode import UNKNOWN, Bools, Floats, Ints
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.statuses import ERROR, OK, REFUSED, STATUSES
from evalharness.columnar.row_store import ColumnStore
from evalharness.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from evalharness.columnar.text_pool import TextPool
    from evalharness.store.parts.streaming_read import LazyColumns


def build_frame(
    records: pa.Table | ColumnStore,
    prompts: pa.Table,
    settings: pa.Table,
    *,
    answers: Any = None,
    scores: Mapping[str, npt.NDArray[Any]] | None = None,
    cost_usd: npt.NDArray[Any] | None = None,
    texts: TextPool | None = None,
    lazy_columns: LazyColumns | None = None,
) -> RunFrame:
    """Encode a run.

    Args:
        records: the columns of :data:`~.frame.COLUMNS` that exist; absent ones count as all null.
        prompts: the prompts table; only ``prompt_id``, ``target_json``, ``cluster`` are read.
        settings: the settings table.
        answers: one a record: integer codes (negative: unparsed), or an object array or Arrow
            column of texts (None: unparsed). Default: the records' ``answer`` column when any
            row of it is filled.
        scores: by scorer name, float64, NaN not scored; the first is the primary. Default: the
            records' ``score`` column when any row of it is filled.
        cost_usd: one a record, NaN unknown. Default: the imported cost when any is filled.
        texts: the texts behind the numbers in the columns of outputs, where they hold numbers.
        lazy_columns: see the attribute of :class:`~.frame.RunFrame`.

    Raises:
        DatasetError: a status that is not one of :data:`~.statuses.STATUSES`.

    """
    overrides = Overrides(answers, scores, cost_usd, texts)
    fields = _encode_fields(records, prompts, settings, overrides)
    return RunFrame(records=records, text_pool=texts, lazy_columns=lazy_columns, **fields)


class Overrides(NamedTuple):
    """Values that take the place of columns of the records: see :func:`build_frame`."""

    answers: Any
    scores: Mapping[str, npt.NDArray[Any]] | None
    cost_usd: npt.NDArray[Any] | None
    texts: TextPool | None


def _encode_fields(
    records: Any, prompts: pa.Table, settings: pa.Table, overrides: Overrides
) -> dict[str, Any]:
    """The fields of :class:`~.frame.RunFrame`, those of records in its order."""
    setting_rows = [decode_setting(row) for row in settings.to_pylist()]
    setting_ids = [str(row["setting_id"]) for row in setting_rows]
    setting, extra = encode.recode(*encode.encode_column(records, "setting_id"), setting_ids)
    extra_rows: list[dict[str, Any]] = [{"setting_id": name, "label": name} for name in extra]
    prompt_ids = [str(name) for name in prompts["prompt_id"].to_pylist()]
    prompt, extra_prompts = encode.recode(*encode.encode_column(records, "prompt_id"), prompt_ids)
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
    output = encode.narrow(record_output_codes(records, prompt, status, overrides.texts))
    return fields | {"status": take(status, rows), "output": take(output, rows)}


def decode_setting(row: dict[str, Any]) -> dict[str, Any]:
    """Return a settings row with its JSON columns decoded."""
    decoded = {
        key: msgspec.json.decode(row.get(f"{key}_json") or "{}") for key in ("params", "axes")
    }
    return {**row, **decoded}


def fill_nulls(table: Any, column: str, default: float) -> Floats:
    """Return a numeric column with its nulls, or its absence, filled."""
    if column not in table.column_names:
        return np.full(int(table.num_rows), default)
    values = encode.to_floats(table[column])
    values[np.isnan(values)] = default
    return values


def status_codes(records: Any) -> Ints:
    """Return indices into :data:`STATUSES`.

    Raises:
        DatasetError: a status that is not one of them.

    """
    codes, others = encode.recode(*encode.encode_column(records, "status"), list(STATUSES))
    if others:
        raise DatasetError(
            f"records have the unknown status {others[0]!r}",
            hint=f"a status is one of {', '.join(STATUSES)}",
        )
    return codes.astype(np.int8)


def record_output_codes(
    records: Any, prompt: Ints, status: Ints, texts: TextPool | None = None
) -> Ints:
    """Encode the outputs; of an ok row without any of them the output is unknown."""
    unknown = status == OK
    for column in ("text", "refusal", "tool_calls_json"):
        if column in records.column_names:
            unknown &= np.asarray(records[column].is_null().to_numpy(), dtype=np.bool_)
    return output_texts.output_codes(records, prompt, unknown, texts)


def answer_codes(records: Any, answers: Any) -> Ints | None:
    """Return the codes of ``answers``, else of those in the records; None without any."""
    if answers is None:
        if not _has_values(records, "answer"):
            return None
        answers = records["answer"]
    codes = encode.object_codes(answers)
    if len(codes) != records.num_rows:
        raise ValueError(f"{len(codes)} answers for {records.num_rows} records")
    return codes


def apply_score_rules(
    records: Any, scores: Mapping[str, npt.NDArray[Any]] | None, status: Ints, target: Bools
) -> dict[str, Floats]:
    """Apply the rules for errors and refusals to scores.

    Errors are never scored; a refused record counts 0 where it has a target, else it is not scored.

    Args:
        records: the records.
        scores: by scorer; None or empty takes the ``score`` column of the records.
        status: of each record.
        target: whether the prompt of each record has a target.
    """
    if not scores:
        if not _has_values(records, "score"):
            return {}
        scores = {"score": encode.to_floats(records["score"])}
    refused, failed = status == REFUSED, status == ERROR
    out: dict[str, Floats] = {}
    for name, values in scores.items():
        if len(values) != len(status):
            raise ValueError(f"{len(values)} scores of {name} for {len(status)} records")
        score = np.array(values, dtype=np.float64)
        score[refused & target] = 0.0
        score[(refused & ~target) | failed] = np.nan
        out[name] = score
    return out


def record_costs(records: Any, cost_usd: npt.NDArray[Any] | None) -> Floats | None:
    """Return ``cost_usd``, else the imported cost of each record, else None."""
    if cost_usd is not None:
        return np.asarray(cost_usd, dtype=np.float64)
    if _has_values(records, "cost_usd_imported"):
        return encode.to_floats(records["cost_usd_imported"])
    return None


def _has_values(table: Any, column: str) -> bool:
    if isinstance(table, ColumnStore):
        return column in table.column_names
    return column in table.column_names and table[column].null_count < table.num_rows


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
    if not _has_values(prompts, "cluster"):
        return None
    codes = encode.object_codes(prompts["cluster"])
    codes = np.r_[codes, np.full(extra, UNKNOWN)]
    alone = np.flatnonzero(codes == UNKNOWN)
    codes[alone] = codes.max() + 1 + np.arange(len(alone))
    return codes
