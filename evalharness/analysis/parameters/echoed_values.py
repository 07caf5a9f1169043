"""Requested, sent and echoed values side by side.

*Requested* is the setting's parameter, *sent* what the request body held, *echoed* what the
response repeats of it (few APIs repeat anything but the model).
"""

from __future__ import annotations

from collections import Counter
from typing import Any, cast

import msgspec
import numpy as np

from evalharness.analysis.data.frame import Frame

SAMPLE = 200  # bodies looked at for each setting: they are alike by construction
_NOT_IN_A_BODY = ("provider", "system", "template")


def echoes(frame: Frame, bodies: Any = None) -> list[dict[str, Any]]:
    """Judge whether requests held, and responses repeat, what the settings say.

    Returns:
        ``model`` whenever a served model name is known, and every parameter of which a sent or
        echoed value was found. ``evidence`` holds up to ``SAMPLE`` bodies a setting:
        ``{"rows": [{"setting_id", "requested", "sent": [{"value", "count"}], "echoed": [...]}]}``.
        Values that were never found are empty lists.

    """
    found = _bodies(frame, frame.records if bodies is None else bodies)
    names = sorted(
        {name for index in range(len(frame.setting_ids)) for name in frame.params(index)}
    )
    results: list[dict[str, Any]] = []
    for name in names:
        if name in _NOT_IN_A_BODY or name.startswith("load."):
            continue
        rows = [_row(frame, index, name, found) for index in range(len(frame.setting_ids))]
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
        if not _same(name, item["value"], row["requested"])
    ]
    seen = " and ".join(w for w in ("sent", "echoed") if any(row[w] for row in rows))
    verdict = "changed" if changed else "as asked"
    text = "; ".join(dict.fromkeys(changed)) if changed else f"{seen} as requested"
    return {
        "parameter": name,
        "verdict": verdict,
        "evidence": {"rows": rows},
        "sentence": f"{name} {verdict}: {text}",
    }


def _same(name: str, value: Any, requested: Any) -> bool:
    if name == "model" and isinstance(value, str) and isinstance(requested, str):
        # A dated snapshot of the model asked for is that model.
        return value == requested or value.startswith(f"{requested}-")
    return value == requested


def _row(
    frame: Frame, index: int, name: str, found: dict[str, list[tuple[Any, Any]]]
) -> dict[str, Any]:
    pairs = found.get(frame.setting_ids[index], [])
    named = name.removeprefix("extra.")  # as a body holds it
    return {
        "setting_id": frame.setting_ids[index],
        "requested": frame.params(index).get(name),
        "sent": _tally([request.get(named) for request, _ in pairs if request is not None]),
        # Absent from a response is not an echo; absent from a request is what was sent.
        "echoed": _tally([r[named] for _, r in pairs if r is not None and named in r]),
    }


def _tally(values: list[Any]) -> list[dict[str, Any]]:
    counts = Counter(msgspec.json.encode(value, order="deterministic") for value in values)
    return [
        {"value": msgspec.json.decode(text), "count": count} for text, count in counts.most_common()
    ]


def _add_served(frame: Frame, rows: list[dict[str, Any]]) -> None:
    """Take the echoed model from its own column, which covers every record."""
    codes, names = frame.codes("served_model")
    for index, row in enumerate(rows):
        mine = codes[frame.rows_of(index)]
        counts = np.bincount(mine[mine >= 0], minlength=len(names))
        if counts.any():
            row["echoed"] = [
                {"value": names[code], "count": int(counts[code])}
                for code in np.argsort(-counts, kind="stable")
                if counts[code]
            ]


def _bodies(frame: Frame, table: Any) -> dict[str, list[tuple[Any, Any]]]:
    """Decode up to :data:`SAMPLE` request and response bodies of each setting."""
    columns = [n for n in ("request_json", "response_json") if n in table.column_names]
    if not columns:
        return {}
    import pyarrow.compute as pc

    found: dict[str, list[tuple[Any, Any]]] = {}
    for setting_id in frame.setting_ids:
        mask: Any = cast("Any", pc).equal(table["setting_id"], setting_id)
        rows = np.flatnonzero(np.asarray(mask.to_numpy(), dtype=np.bool_))[:SAMPLE]
        chosen = table.select(columns).take(rows).to_pylist()
        found[setting_id] = [
            (_object(row.get("request_json")), _object(row.get("response_json"))) for row in chosen
        ]
    return found


def _object(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        value: Any = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None
