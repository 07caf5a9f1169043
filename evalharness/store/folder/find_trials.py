"""The records of a run that a person means, found by their keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from evalharness.columnar.arrow_ops import where_equal
from evalharness.errors import ConfigError
from evalharness.store.folder.annotations import TrialKey
from evalharness.store.folder.run import Run

if TYPE_CHECKING:
    import pyarrow as pa


def find_trials(
    run: Run,
    *,
    trial_ids: Sequence[str] = (),
    prompt: str | None = None,
    setting: str | None = None,
    repeat: int | None = None,
) -> list[TrialKey]:
    """The records that have all the keys given; those of the journal, too.

    Args:
        run: the run.
        trial_ids: any of these; empty takes any.
        prompt: the id of a prompt.
        setting: the id of a setting, or its label.
        repeat: from 0.

    Raises:
        ConfigError: a trial has no record, no record has the keys, or there is no such setting.
    """
    import pyarrow
    import pyarrow.compute

    pa: Any = pyarrow
    pc: Any = pyarrow.compute
    table = run.table("records", [*TrialKey._fields])
    if trial_ids:
        wanted = pa.array([*trial_ids], pa.string())
        table = table.filter(pc.is_in(table["trial_id"], value_set=wanted))
    if prompt is not None:
        table = where_equal(table, "prompt_id", prompt)
    if setting is not None:
        table = where_equal(table, "setting_id", _setting_id(run, setting))
    if repeat is not None:
        table = table.filter(pc.equal(table["repeat"], repeat))
    keys = _keys(table)
    missing = sorted({*trial_ids} - {key.trial_id for key in keys})
    if missing or not keys:
        what = f"trial `{missing[0]}`" if missing else "prompt, setting and repeat"
        raise ConfigError(
            f"run `{run.name}` has no record of this {what}",
            hint="the column trial_id of `evalharness export` has the ids of all records",
        )
    return keys


def _keys(table: pa.Table) -> list[TrialKey]:
    rows = {row["trial_id"]: TrialKey(**row) for row in table.to_pylist()}
    return list(rows.values())


def _setting_id(run: Run, name: str) -> str:
    ids = [s.setting_id for s in run.setting_list if name in (s.setting_id, s.label)]
    if len(ids) == 1:
        return ids[0]
    problem = "several settings are" if ids else "no setting is"
    labels = " · ".join(setting.label for setting in run.setting_list)
    raise ConfigError(f"{problem} called {name!r}", hint=f"one of: {labels}")
