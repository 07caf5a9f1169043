"""The report's ``groups``: scores, agreement and cost by a field of the prompts."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import msgspec
import numpy as np

from evalharness.analysis.cost.cell_costs import CellCosts
from evalharness.analysis.cost.cost_figures import CostFigures, describe_cells
from evalharness.analysis.data import json_values
from evalharness.analysis.data.cell_means import cell_means
from evalharness.analysis.data.encode import Ints
from evalharness.analysis.data.frame import RunFrame
from evalharness.errors import ConfigError
from evalharness.process.text import closest, did_you_mean, first_names

if TYPE_CHECKING:
    import pyarrow as pa

MAX_GROUPS = 200

# Columns of the prompts table that a group may be made of, beside the fields.
_COLUMNS = ("target", "tags", "cluster")


class GroupSetting(msgspec.Struct, frozen=True, kw_only=True):
    """A setting over the prompts of a group.

    Attributes:
        setting_id: of the setting.
        label: its name.
        errors: records that are errors; in no score and no agreement.
        score: mean over prompts of the mean over their scored repeats, by the first scorer, in
            [0, 1]; null where nothing is scored.
        score_ci95: ``[low, high]`` of it over prompts, or over whole clusters where prompts name
            one; null where it is undefined.
        scored_prompts: prompts behind the score.
        agreement: mean over prompts of the share of equal pairs of repeats; null where no prompt
            has two outputs.
        cost: tokens and money of its records.
    """

    setting_id: str
    label: str
    errors: int
    score: float | None
    score_ci95: list[float] | None
    scored_prompts: int
    agreement: float | None
    cost: CostFigures


class FieldGroup(msgspec.Struct, frozen=True, kw_only=True):
    """The prompts with one value of a field.

    Attributes:
        value: of the field; what is no text stands as JSON. Null: prompts without the field.
        prompts: how many have it.
        settings: in the order of ``settings``; those without records of these prompts are left out.
    """

    value: str | None
    prompts: int
    settings: list[GroupSetting]


class FieldGroups(msgspec.Struct, frozen=True, kw_only=True):
    """A run by a field of its prompts. Observed, not tried: groups hold different prompts.

    Attributes:
        field: its name; ``a.b`` is what the object ``a`` has as ``b``.
        groups: by value, the one with the most prompts first, at most 200. A prompt whose field is
            a list (``tags``) is in the group of each of its elements.
        left_out: groups beyond these.
    """

    field: str
    groups: list[FieldGroup]
    left_out: int


class FieldLookup(NamedTuple):
    """What a prompts table has of a field.

    Attributes:
        values: of each prompt by its id, ``[None]`` where it has none; None where no prompt has
            the field.
        known: the names of all fields that its prompts have.
    """

    values: dict[str, list[str | None]] | None
    known: set[str]


def field_values(
    prompts: pa.Table, field: str, columns: Mapping[str, str]
) -> dict[str, list[str | None]]:
    """The values of a field of each prompt, by its id; ``[None]`` where it has none.

    Args:
        prompts: the prompts table.
        field: a column of the dataset, or a path into one, as ``meta.team``.
        columns: the file's own names of columns with a meaning (``dataset.columns``).

    Raises:
        ConfigError: no prompt has the field.
    """
    column = look_up_field(prompts, field, columns)
    if column.values is None:
        raise no_field_error(field, column.known, "the run")
    return column.values


def look_up_field(prompts: pa.Table, field: str, columns: Mapping[str, str]) -> FieldLookup:
    """As :func:`field_values`, of a table that may lack the field."""
    meanings = {column: meaning for meaning, column in columns.items() if meaning in _COLUMNS}
    rows = [_fields_of(row) for row in prompts.to_pylist()]
    own = {name for _, fields in rows for name in fields}
    name = field if field in own else meanings.get(field, field)
    values = {prompt_id: _look_up(fields, name) for prompt_id, fields in rows}
    known = own | meanings.keys()
    if all(value is None for value in values.values()):
        return FieldLookup(None, known)
    return FieldLookup({prompt_id: _texts(value) for prompt_id, value in values.items()}, known)


def no_field_error(field: str, known: Collection[str], where: str) -> ConfigError:
    """That no prompt of ``where`` has a field, with the name that was likely meant."""
    names = sorted(known)
    close = closest(field, names)
    return ConfigError(
        f"--group-by {field}: no prompt of {where} has this field",
        hint=did_you_mean(close) if close else f"the prompts have: {first_names(names)}",
    )


def _fields_of(row: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    fields: dict[str, Any] = json.loads(row.get("fields_json") or "{}")
    target = row.get("target_json")
    columns = {
        "target": None if target is None else json.loads(target),
        "tags": row.get("tags") or None,
        "cluster": row.get("cluster"),
    }
    present = {name: value for name, value in columns.items() if value is not None}
    return str(row["prompt_id"]), {**fields, **present}


def _look_up(fields: dict[str, Any], name: str) -> Any:
    if name in fields or "." not in name:
        return fields.get(name)
    value: Any = fields
    for key in name.split("."):
        value = cast("dict[str, Any]", value).get(key) if isinstance(value, dict) else None
    return value


def _texts(value: Any) -> list[str | None]:
    if isinstance(value, list):
        elements = cast("list[Any]", value)
        return list(dict.fromkeys(text for item in elements for text in _texts(item))) or [None]
    if value is None or isinstance(value, str):
        return [value]
    return [json.dumps(value, ensure_ascii=False, sort_keys=True)]


def group_by_field(
    frame: RunFrame, costs: CellCosts, field: str, values: Mapping[str, list[str | None]]
) -> FieldGroups:
    """Split a run by the values that :func:`field_values` gives."""
    members: dict[str | None, list[int]] = {}
    for position, prompt_id in enumerate(frame.prompt_ids):
        for value in values.get(prompt_id, [None]):
            members.setdefault(value, []).append(position)
    # The prompts without the field come last.
    order = sorted(members, key=lambda v: (v is None, -len(members[v]), v or ""))
    errors = frame.counts("error")
    return FieldGroups(
        field=field,
        groups=[
            _group(frame, costs, errors, value, members[value]) for value in order[:MAX_GROUPS]
        ],
        left_out=max(0, len(order) - MAX_GROUPS),
    )


def _group(
    frame: RunFrame, costs: CellCosts, errors: Ints, value: str | None, prompts: list[int]
) -> FieldGroup:
    chosen = np.array(prompts)
    settings = [
        _setting(frame, costs, chosen, s, int(errors[chosen, s].sum()))
        for s in range(len(frame.setting_ids))
        if costs.trials[costs.cell_matrix[chosen, s]].any()
    ]
    return FieldGroup(value=value, prompts=len(prompts), settings=settings)


def _setting(
    frame: RunFrame, costs: CellCosts, prompts: Ints, setting: int, errors: int
) -> GroupSetting:
    scores = cell_means(frame, "score")[prompts, setting]
    agreement = cell_means(frame, "agreement")[prompts, setting]
    clusters = None if frame.clusters is None else frame.clusters[prompts]
    return GroupSetting(
        setting_id=frame.setting_ids[setting],
        label=frame.label(setting),
        errors=errors,
        score=json_values.mean(scores),
        score_ci95=json_values.share_interval(scores, clusters),
        scored_prompts=int((~np.isnan(scores)).sum()),
        agreement=json_values.mean(agreement),
        cost=describe_cells(costs, costs.cell_matrix[prompts, setting]),
    )
