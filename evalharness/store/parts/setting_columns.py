"""The record columns that follow from the setting: provider, model, and parameters as sent.

They are read from the setting once; where a prompt has parameters of its own, the runner has merged
both. The body of a record is read only where neither is known, as in earlier journals: then as that
of a chat completion.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from msgspec.structs import astuple

from evalharness.parameters import COLUMN_PARAMS, column_values
from evalharness.records import AttemptResult, Setting, canonical_json

if TYPE_CHECKING:
    import pyarrow as pa

_TYPES: dict[str, Any] = {"number": float, "integer": int, "boolean": bool, "text": str}
#: The model and the parameters that have a column of their own, read from a body.
SentParams = msgspec.defstruct(
    "SentParams",
    [("model", str | None, None), *((p.name, _TYPES[p.form] | None, None) for p in COLUMN_PARAMS)],
)
_decode = msgspec.json.Decoder(SentParams).decode
_MODEL = SentParams.__struct_fields__.index("model")
_NOTHING_SENT: tuple[Any, ...] = astuple(SentParams())


class SettingColumns(NamedTuple):
    """What a setting's records have in common.

    Attributes:
        provider: its name.
        sent: values of the fields of :data:`SentParams`.
    """

    provider: str
    sent: tuple[Any, ...]


def columns_by_setting(settings: Iterable[Setting]) -> dict[str, SettingColumns]:
    """The columns of settings, by setting_id."""
    return {s.setting_id: SettingColumns(s.provider, _sent_values(s)) for s in settings}


def _sent_values(setting: Setting) -> tuple[Any, ...]:
    """The model of a setting, and its parameters."""
    return _typed_values(setting.model, column_values(setting.params))


def _typed_values(model: str | None, params: Mapping[str, Any]) -> tuple[Any, ...]:
    """Through JSON, so that values have the types that they would have when read from a body."""
    return astuple(_decode(canonical_json({**params, "model": model})))


def sent_columns(
    finals: Sequence[AttemptResult], settings: Mapping[str, SettingColumns]
) -> dict[str, Sequence[Any]]:
    """The fields of :data:`SentParams` as columns, one row a record."""
    rows = zip(*_sent_rows(finals, settings), strict=True)
    return dict(zip(SentParams.__struct_fields__, rows, strict=True))


def _sent_rows(
    finals: Sequence[AttemptResult], settings: Mapping[str, SettingColumns]
) -> Iterator[tuple[Any, ...]]:
    for result in finals:
        body = result.body
        if body is None:
            yield _NOTHING_SENT
            continue
        known = settings.get(result.intent.setting_id)
        if known is not None and result.params_of_setting:
            yield known.sent
        elif known is not None and result.merged_params is not None:
            yield _typed_values(known.sent[_MODEL], result.merged_params)
        else:
            yield astuple(_decode(body))


def with_unique_labels(settings: pa.Table) -> pa.Table:
    """A settings table in which no two settings have the same label.

    Each plan labels its own settings, so that one of an earlier plan can have a label of the
    newest. It is numbered (``temperature=0 #2``); those of the newest plan, which come first,
    keep theirs.
    """
    import pyarrow as pa

    if "label" not in settings.column_names:
        return settings
    labels: list[Any] = settings["label"].to_pylist()
    if len(set(labels)) == len(labels):
        return settings
    unique: list[Any] = []
    taken = set(labels)
    seen: Counter[Any] = Counter()
    for label in labels:
        seen[label] += 1
        name = label
        while seen[label] > 1 and name in taken:
            name = f"{label} #{seen[label]}"
            seen[label] += name in taken
        taken.add(name)
        unique.append(name)
    position = settings.column_names.index("label")
    return settings.set_column(position, "label", pa.array(unique, pa.string()))
