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

SAMPLE = 200  # bodies read for each setting, whose requests differ in nothing but the prompt
_NOT_IN_A_BODY = ("provider", "system", "template")


def echoed_values(frame: RunFrame, bodies: Any = None) -> list[dict[str, Any]]:
    """Judge whether requests hold, and responses repeat, the values of the settings.

    Returns:
        ``model`` whenever a served model name is known, and every parameter of which a sent or
        echoed value is known. ``evidence`` is from up to ``SAMPLE`` bodies a setting:
        ``{"rows": [{"setting_id", "requested", "sent": [{"value", "count"}], "echoed": [...]}]}``.
        Lists are empty where no value is known.

    """
    samples = _bodies(frame, frame.records if bodies is None else bodies)
    names = sorted(
        {name for index in range(len(frame.setting_ids)) for name in frame.params(index)}
    )
    results: list[dict[str, Any]] = []
    for name in names:
        if name in _NOT_IN_A_BODY or name.startswith("load."):
            continue
        rows = [_row(frame, index, name, samples) for index in range(len(frame.setting_ids))]
        if name == "model":
            _add_served(frame, rows)
        if any(row["sent"] or row["echoed"] for row in rows):
            results.append(_judge(name, rows))
    return results


def _judge(name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    changed = [
        f"{where} as {item['value']!r} instead of {row['requested']!r}"
        for row in rows
        for where in ("sent", "echoed")
        for item in row[where]
        if not _is_same(name, item["value"], row["requested"])
    ]
    known = " and ".join(w for w in ("sent", "echoed") if any(row[w] for row in rows))
    verdict = "changed" if changed else "as asked"
    text = "; ".join(dict.fromkeys(changed)) if changed else f"{known} as requested"
    return {
        "parameter": name,
        "verdict": verdict,
        "evidence": {"rows": rows},
        "sentence": f"{name} {verdict}: {text}",
    }


def _is_same(name: str, value: Any, requested: Any) -> bool:
    if name == "model" and isinstance(value, str) and isinstance(requested, str):
        # A dated snapshot of the requested model is that model.
        return value == requested or value.startswith(f"{requested}-")
    return value == requested


def _row(
    frame: RunFrame, index: int, name: str, samples: dict[str, list[tuple[Any, Any]]]
) -> dict[str, Any]:
    bodies = samples.get(frame.setting_ids[index], [])
    key = name.removeprefix("extra.")  # in a body
    return {
        "setting_id": frame.setting_ids[index],
        "requested": frame.params(index).get(name),
        # Absent from a request counts as sent (null); absent from a response is no echo.
        "sent": _tally([request.get(key) for request, _ in bodies if request is not None]),
        "echoed": _tally([r[key] for _, r in bodies if r is not None and key in r]),
    }


def _tally(values: list[Any]) -> list[dict[str, Any]]:
    counts = Counter(msgspec.json.encode(value, order="deterministic") for value in values)
    return [
        {"value": msgspec.json.decode(text), "count": count} for text, count in counts.most_common()
    ]


def _add_served(frame: RunFrame, rows: list[dict[str, Any]]) -> None:
    """Take the echoed model from its own column, which covers every record."""
    codes, names = frame.codes("response_model")
    for index, row in enumerate(rows):
        setting_codes = codes[frame.rows_of(index)]
        counts = np.bincount(setting_codes[setting_codes >= 0], minlength=len(names))
        if counts.any():
            row["echoed"] = [
                {"value": names[code], "count": int(counts[code])}
                for code in np.argsort(-counts, kind="stable")
                if counts[code]
            ]


def _bodies(frame: RunFrame, table: Any) -> dict[str, list[tuple[Any, Any]]]:
    """Decode up to :data:`SAMPLE` request and response bodies of each setting."""
    columns = [n for n in ("request_json", "response_json") if n in table.column_names]
    if not columns:
        return {}
    import pyarrow.compute as pc

    samples: dict[str, list[tuple[Any, Any]]] = {}
    for setting_id in frame.setting_ids:
        mask: Any = cast("Any", pc).equal(table["setting_id"], setting_id)
        rows = np.flatnonzero(np.asarray(mask.to_numpy(), dtype=np.bool_))[:SAMPLE]
        sample = table.select(columns).take(rows).to_pylist()
        samples[setting_id] = [
            (_object(row.get("request_json")), _object(row.get("response_json"))) for row in sample
        ]
    return samples


def _object(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        value: Any = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None
