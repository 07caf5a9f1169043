"""Requested, sent and echoed values of the parameters.

*Requested* is the setting's parameter, *sent* what the request body held, *echoed* what the
response repeats of it (few APIs repeat anything but the model).
"""

from __future__ import annotations

from collections import Counter
from typing import Any, cast

import msgspec
import numpy as np

from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.json_values import JsonValues
from evalharness.analysis.parameters.body_values import (
    body_form,
    echoed_value,
    sent_value,
)
from evalharness.analysis.parameters.effect import (
    EffectEvidence,
    ParameterEffect,
    ParameterValues,
    ValueCount,
)

SAMPLE = 200  # bodies read for each setting, whose requests differ in nothing but the prompt
_NOT_IN_A_BODY = ("provider", "system", "template")

_Bodies = tuple[JsonValues | None, JsonValues | None]  # request and response; None: not an object


def echoed_values(frame: RunFrame, bodies: Any = None) -> list[ParameterEffect]:
    """Judge whether requests hold, and responses repeat, the values of the settings.

    Returns:
        ``model`` whenever a served model name is known, and every parameter of which a sent or
        echoed value is known, from up to ``SAMPLE`` bodies a setting.

    """
    samples = {} if bodies is None else _bodies(frame, bodies)
    names = sorted(
        {name for index in range(len(frame.setting_ids)) for name in frame.params(index)}
    )
    results: list[ParameterEffect] = []
    for name in names:
        if name in _NOT_IN_A_BODY or name.startswith("load."):
            continue
        rows = [_row(frame, index, name, samples) for index in range(len(frame.setting_ids))]
        if name == "model":
            rows = _with_served(frame, rows)
        if any(row.sent or row.echoed for row in rows):
            results.append(_judge(name, rows))
    return results


def _judge(name: str, rows: list[ParameterValues]) -> ParameterEffect:
    changed = [
        f"{where} as {item.value!r} instead of {row.requested!r}"
        for row in rows
        for where, items in (("sent", row.sent), ("echoed", row.echoed))
        for item in items
        if not _is_same(name, item.value, row.requested)
    ]
    sides = {"sent": any(row.sent for row in rows), "echoed": any(row.echoed for row in rows)}
    known = " and ".join(side for side, is_known in sides.items() if is_known)
    verdict = "changed" if changed else "as asked"
    text = "; ".join(dict.fromkeys(changed)) if changed else f"{known} as requested"
    return ParameterEffect(
        parameter=name,
        verdict=verdict,
        evidence=EffectEvidence(rows=rows),
        sentence=f"{name} {verdict}: {text}",
    )


def _is_same(name: str, value: Any, requested: Any) -> bool:
    if name == "model" and isinstance(value, str) and isinstance(requested, str):
        # A dated snapshot of the requested model is that model.
        return value == requested or value.startswith(f"{requested}-")
    if name == "stop" and isinstance(requested, str):
        return value in (requested, [requested])  # a list is all that some APIs take
    return value == requested


def _row(
    frame: RunFrame, index: int, name: str, samples: dict[str, list[_Bodies]]
) -> ParameterValues:
    bodies = samples.get(frame.setting_ids[index], [])
    form = body_form(bodies)
    return ParameterValues(
        setting_id=frame.setting_ids[index],
        requested=frame.params(index).get(name),
        # Absent from a request counts as sent (null); absent from a response is no echo.
        sent=_tally([v for s, _ in bodies if s is not None for v in sent_value(s, name, form)]),
        echoed=_tally([v for _, r in bodies if r is not None for v in echoed_value(r, name, form)]),
    )


def _tally(values: list[Any]) -> list[ValueCount]:
    counts = Counter(msgspec.json.encode(value, order="deterministic") for value in values)
    return [
        ValueCount(value=msgspec.json.decode(text), count=count)
        for text, count in counts.most_common()
    ]


def _with_served(frame: RunFrame, rows: list[ParameterValues]) -> list[ParameterValues]:
    """Take the echoed model from its own column, which covers every record."""
    codes, names = frame.codes("response_model")
    replaced: list[ParameterValues] = []
    for index, row in enumerate(rows):
        setting_codes = codes[frame.rows_of(index)]
        counts = np.bincount(setting_codes[setting_codes >= 0], minlength=len(names))
        served = [
            ValueCount(value=names[code], count=int(counts[code]))
            for code in np.argsort(-counts, kind="stable")
            if counts[code]
        ]
        replaced.append(msgspec.structs.replace(row, echoed=served) if served else row)
    return replaced


def _bodies(frame: RunFrame, table: Any) -> dict[str, list[_Bodies]]:
    """Decode up to :data:`SAMPLE` request and response bodies of each setting."""
    columns = [n for n in ("request_json", "response_json") if n in table.column_names]
    if not columns:
        return {}
    import pyarrow.compute as pc

    samples: dict[str, list[_Bodies]] = {}
    for setting_id in frame.setting_ids:
        mask: Any = cast("Any", pc).equal(table["setting_id"], setting_id)
        rows = np.flatnonzero(np.asarray(mask.to_numpy(), dtype=np.bool_))[:SAMPLE]
        sample = table.select(columns).take(rows).to_pylist()
        samples[setting_id] = [
            (_object(row.get("request_json")), _object(row.get("response_json"))) for row in sample
        ]
    return samples


def _object(text: str | None) -> JsonValues | None:
    if text is None:
        return None
    try:
        value: Any = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None
    return cast("JsonValues", value) if isinstance(value, dict) else None
