"""From the tables of a run to the arrays of a frame: the rules on statuses, scores and targets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import numpy.typing as npt

from evalharness.analysis import encode
from evalharness.analysis.encode import UNKNOWN, Bools, Floats, Ints
from evalharness.errors import DatasetError
from evalharness.held import Held
from evalharness.records import Status

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from evalharness.texts import Texts

STATUSES: tuple[str, ...] = tuple(status.value for status in Status)
OK = STATUSES.index(Status.OK)
TRUNCATED = STATUSES.index(Status.TRUNCATED)
REFUSED = STATUSES.index(Status.REFUSED)
EMPTY = STATUSES.index(Status.EMPTY)
ERROR = STATUSES.index(Status.ERROR)


def decode_setting(row: dict[str, Any]) -> dict[str, Any]:
    """Return a settings row with its JSON columns decoded."""
    decoded = {
        key: msgspec.json.decode(row.get(f"{key}_json") or "{}") for key in ("params", "axes")
    }
    return {**row, **decoded}


def filled(table: Any, column: str, default: float) -> Floats:
    """Return a numeric column with its nulls, or its absence, filled."""
    if column not in table.column_names:
        return np.full(table.num_rows, default)
    return np.nan_to_num(encode.floats(table[column]), nan=default)


def statuses(records: Any) -> Ints:
    """Return indices into :data:`STATUSES`.

    Raises:
        DatasetError: a status that is not one of them.

    """
    codes, strangers = encode.positions(records["status"], list(STATUSES))
    if strangers:
        raise DatasetError(
            f"records have the unknown status {strangers[0]!r}",
            hint=f"a status is one of {', '.join(STATUSES)}",
        )
    return codes.astype(np.int8)


def outputs(records: Any, prompt: Ints, status: Ints, texts: Texts | None = None) -> Ints:
    """Encode the outputs; an ok row that holds nothing at all is an output nobody recorded."""
    silent = status == OK
    for column in ("text", "refusal", "tool_calls_json"):
        if column in records.column_names:
            silent &= np.asarray(records[column].is_null().to_numpy(), dtype=np.bool_)
    return encode.output_codes(records, prompt, silent, texts)


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
