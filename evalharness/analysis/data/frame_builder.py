"""From the tables of a run to the arrays of a frame: the rules on statuses, scores and targets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from evalharness.analysis.data import encode, output_texts
from evalharness.analysis.data.encode import UNKNOWN, Bools, Floats, Ints
from evalharness.analysis.data.statuses import ERROR, OK, REFUSED, STATUSES
from evalharness.columnar.row_store import Held
from evalharness.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from evalharness.columnar.text_pool import Texts


class Given(NamedTuple):
    """What a frame is given beside the tables: see :meth:`~.frame.Frame.build`."""

    answers: Any
    scores: Mapping[str, npt.NDArray[Any]] | None
    cost_usd: npt.NDArray[Any] | None
    texts: Texts | None


def encoded(records: Any, prompts: pa.Table, settings: pa.Table, given: Given) -> dict[str, Any]:
    """Encode a run: the fields of :class:`~.frame.Frame`, those of records in its order.

    Raises:
        DatasetError: a status that is not one of :data:`STATUSES`.

    """
    setting_rows = [decode_setting(row) for row in settings.to_pylist()]
    setting_ids = [str(row["setting_id"]) for row in setting_rows]
    setting, extra = encode.placed(*encode.dictionary_of(records, "setting_id"), setting_ids)
    strange_rows: list[dict[str, Any]] = [{"setting_id": name, "label": name} for name in extra]
    prompt_ids = [str(name) for name in prompts["prompt_id"].to_pylist()]
    prompt, strangers = encode.placed(*encode.dictionary_of(records, "prompt_id"), prompt_ids)
    repeat = filled(records, "repeat", 0).astype(np.int64)
    rows = encode.narrow(encode.ordered(setting, prompt, repeat))
    has_target = targets(prompts, len(strangers))
    picked = encode.picked
    # Each as soon as it is known, since there may be very many records.
    fields: dict[str, Any] = {
        "setting_ids": setting_ids + extra,
        "prompt_ids": prompt_ids + strangers,
        "setting_rows": setting_rows + [decode_setting(row) for row in strange_rows],
        "has_target": has_target,
        "clusters": cluster_codes(prompts, len(strangers)),
        "rows": rows,
        "setting": picked(encode.narrow(setting, least=np.int8), rows),
        "repeat": picked(encode.narrow(repeat, least=np.int8), rows),
        "prompt": picked(prompt, rows),
    }
    del setting, repeat
    status = statuses(records)
    final = final_scores(records, given.scores, status, has_target[prompt])
    fields["scores"] = {name: picked(score, rows) for name, score in final.items()}
    del final
    answer = answer_codes(records, given.answers)
    fields["answer"] = None if answer is None else picked(answer, rows)
    cost = costs(records, given.cost_usd)
    fields["cost_usd"] = None if cost is None else picked(cost, rows)
    output = encode.narrow(coded_outputs(records, prompt, status, given.texts))
    return fields | {"status": picked(status, rows), "output": picked(output, rows)}


def decode_setting(row: dict[str, Any]) -> dict[str, Any]:
    """Return a settings row with its JSON columns decoded."""
    decoded = {
        key: msgspec.json.decode(row.get(f"{key}_json") or "{}") for key in ("params", "axes")
    }
    return {**row, **decoded}


def filled(table: Any, column: str, default: float) -> Floats:
    """Return a numeric column with its nulls, or its absence, filled."""
    if column not in table.column_names:
        return np.full(int(table.num_rows), default)
    values = encode.floats(table[column])
    values[np.isnan(values)] = default
    return values


def statuses(records: Any) -> Ints:
    """Return indices into :data:`STATUSES`.

    Raises:
        DatasetError: a status that is not one of them.

    """
    codes, strangers = encode.placed(*encode.dictionary_of(records, "status"), list(STATUSES))
    if strangers:
        raise DatasetError(
            f"records have the unknown status {strangers[0]!r}",
            hint=f"a status is one of {', '.join(STATUSES)}",
        )
    return codes.astype(np.int8)


def coded_outputs(records: Any, prompt: Ints, status: Ints, texts: Texts | None = None) -> Ints:
    """Encode the outputs; an ok row that holds nothing at all is an output nobody recorded."""
    silent = status == OK
    for column in ("text", "refusal", "tool_calls_json"):
        if column in records.column_names:
            silent &= np.asarray(records[column].is_null().to_numpy(), dtype=np.bool_)
    return output_texts.output_codes(records, prompt, silent, texts)


def answer_codes(records: Any, answers: Any) -> Ints | None:
    """Return the codes of the answers given, else of those in the records; None without any."""
    if answers is None:
        if not _any_filled(records, "answer"):
            return None
        answers = records["answer"]
    codes = encode.object_codes(answers)
    if len(codes) != records.num_rows:
        raise ValueError(f"{len(codes)} answers for {records.num_rows} records")
    return codes


def final_scores(
    records: Any, scores: Mapping[str, npt.NDArray[Any]] | None, status: Ints, target: Bools
) -> dict[str, Floats]:
    """Apply the rules for errors and refusals to scores; ``target``: the record's prompt has one.

    Errors are never scored; a refused record counts 0 where it has a target, else it is not scored.
    """
    if not scores:
        if not _any_filled(records, "score"):
            return {}
        scores = {"score": encode.floats(records["score"])}
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


def costs(records: Any, cost_usd: npt.NDArray[Any] | None) -> Floats | None:
    """Return the cost of each record in US dollars as given, else as imported, else None."""
    if cost_usd is not None:
        return np.asarray(cost_usd, dtype=np.float64)
    if _any_filled(records, "cost_usd_imported"):
        return encode.floats(records["cost_usd_imported"])
    return None


def _any_filled(table: Any, column: str) -> bool:
    if isinstance(table, Held):
        return column in table.column_names
    return column in table.column_names and table[column].null_count < table.num_rows


def targets(prompts: pa.Table, strangers: int) -> Bools:
    """Say which prompts have a target; ``strangers`` more are not in the table."""
    known = np.zeros(prompts.num_rows, np.bool_)
    if "target_json" in prompts.column_names:
        filled = np.asarray(prompts["target_json"].is_valid().to_numpy(), dtype=np.bool_)
        # A target spelled as JSON null is no target.
        known = filled & np.array([text != "null" for text in prompts["target_json"].to_pylist()])
    return np.r_[known, np.zeros(strangers, np.bool_)]


def cluster_codes(prompts: pa.Table, strangers: int) -> Ints | None:
    """Return cluster numbers; a prompt without a cluster gets one that nobody shares."""
    if not _any_filled(prompts, "cluster"):
        return None
    codes = encode.object_codes(prompts["cluster"])
    codes = np.r_[codes, np.full(strangers, UNKNOWN)]
    alone = np.flatnonzero(codes == UNKNOWN)
    codes[alone] = codes.max() + 1 + np.arange(len(alone))
    return codes
