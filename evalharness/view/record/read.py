"""A record with all that its page shows of it, read from the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from evalharness.errors import EvalharnessError
from evalharness.pricing.book import PriceBook
from evalharness.records import Setting
from evalharness.report.build.prompt_outputs import ShownOutput, score_outputs, unscored_outputs
from evalharness.report.build.scoring import ReportOverrides, read_price_book
from evalharness.store.folder.annotations import TrialKey
from evalharness.store.folder.run import Run
from evalharness.view.queries.record_lookup import find_prompt, find_record, prompt_records

if TYPE_CHECKING:
    import pyarrow as pa

_KEYS = (*TrialKey._fields,)


class FoundRecord(NamedTuple):
    """A record of a run.

    Attributes:
        run: the run.
        row: all columns by name, instants in nanoseconds since the epoch.
        output: what it shows, with its scores.
        problem: why it has no scores; None where it could be scored.
        prompt: its row of ``prompts.parquet``; None where there is none.
        setting: None where the run has lost it.
    """

    run: Run
    row: Mapping[str, Any]
    output: ShownOutput
    problem: EvalharnessError | None
    prompt: Mapping[str, Any] | None
    setting: Setting | None


def read_record(run: Run, trial_id: str) -> FoundRecord:
    """A record, scored as the report scores it.

    Raises:
        UnknownIdError: there is none of this trial.
        StorageError: a file is damaged.
    """
    table = find_record(run, trial_id)
    [row] = plain_rows(table)
    prompts = find_prompt(run, row["prompt_id"])
    settings = {setting.setting_id: setting for setting in run.setting_list}
    outputs, problem = shown_outputs(run, table, prompts)
    return FoundRecord(
        run=run,
        row=row,
        output=outputs[0],
        problem=problem,
        prompt=next(iter(plain_rows(prompts)), None),
        setting=settings.get(row["setting_id"]),
    )


def shown_outputs(
    run: Run, records: pa.Table, prompts: pa.Table
) -> tuple[list[ShownOutput], EvalharnessError | None]:
    """Outputs with scores; without them, and why, where the scoring cannot be read or used."""
    if not len(records):
        return [], None
    try:
        return score_outputs(run, records, prompts, ReportOverrides()), None
    except EvalharnessError as error:
        return unscored_outputs(records), error


def siblings(run: Run, prompt_id: str) -> list[TrialKey]:
    """The records of a prompt by setting, in the order of the run, and repeat."""
    order = {setting.setting_id: place for place, setting in enumerate(run.setting_list)}
    rows = prompt_records(run, prompt_id, _KEYS).to_pylist()
    keys = [TrialKey(**row) for row in rows]
    return sorted(keys, key=lambda key: (order.get(key.setting_id, len(order)), key.repeat))


def counterpart(run: Run, record: FoundRecord) -> TrialKey | None:
    """The record of the same prompt in another run that is most like this one.

    Of the same setting (by id, else by label, else any) and repeat (else the first).
    """
    labels = {setting.setting_id: setting.label for setting in run.setting_list}
    label = None if record.setting is None else record.setting.label

    def likeness(key: TrialKey) -> tuple[bool, bool, bool]:
        return (
            key.setting_id != record.output.setting_id,
            labels.get(key.setting_id) != label,
            key.repeat != record.output.repeat,
        )

    return min(siblings(run, str(record.row["prompt_id"])), key=likeness, default=None)


def price_book(run: Run) -> tuple[PriceBook, EvalharnessError | None]:
    """The prices of a run; none, and why, where its configuration cannot be read."""
    try:
        return read_price_book(ReportOverrides(), next(run.configs())), None
    except EvalharnessError as error:
        return PriceBook(), error


def plain_rows(table: pa.Table) -> list[dict[str, Any]]:
    """The rows with instants as nanoseconds since the epoch."""
    import pyarrow as pa

    untyped: Any = table
    for place, field in enumerate(untyped.schema):
        if pa.types.is_timestamp(field.type):
            untyped = untyped.set_column(place, field.name, untyped[field.name].cast(pa.int64()))
    return untyped.to_pylist()
