"""Limits a request states and a response can be held against: max_tokens, stop, n, response_format.

Only what was delivered counts. "No violation in N" is not proof: the sentence bounds the rate, and
the verdict is ``undetectable`` where the limit was never put to the test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import msgspec
import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.data.encode import Ints
from evalharness.analysis.data.frame import Frame
from evalharness.analysis.data.json_values import interval
from evalharness.analysis.data.statuses import OK, STATUSES

_TRUNCATED = STATUSES.index("truncated")
_JSON_FORMATS = ("json_object", "json_schema")


def limits(frame: Frame, bodies: Any = None) -> list[dict[str, Any]]:
    """Judge the limits that any setting states; see :func:`.effects.effects` for ``bodies``."""
    checks = (
        _max_tokens(frame, "max_tokens"),
        _max_tokens(frame, "max_completion_tokens"),
        _stop(frame),
        _choices(frame, frame.records if bodies is None else bodies),
        _response_format(frame),
    )
    return [check for check in checks if check is not None]


def _judged(
    parameter: str, broken: int, n: int, tested: int, noun: str, **evidence: Any
) -> dict[str, Any]:
    """Turn counts into a verdict: ``broken`` of ``n`` outputs; ``tested`` of them met the limit."""
    facts = {"n": n, "violations": broken, "ci95": interval(stats.wilson(broken, n)), **evidence}
    if n == 0:
        verdict, text = "undetectable", f"no output tells {noun}"
    elif broken:
        verdict = "not obeyed"
        text = f"{broken} of {n} outputs {noun} ({100 * broken / n:.1f} %)"
    else:
        bound = stats.divergence_bound(n) or 1.0
        facts["rate_below"] = bound
        verdict = "obeyed" if tested else "undetectable"
        text = f"none of {n} outputs {noun}; rate below {100 * bound:.2g} % (95 % confidence)"
        if not tested:
            text += ", but none came near it either"
    return {
        "parameter": parameter,
        "verdict": verdict,
        "evidence": facts,
        "sentence": f"{parameter} {verdict}: {text}",
    }


def _asked(frame: Frame, name: str) -> list[tuple[int, Any]]:
    """Find settings that state a parameter, with its value."""
    everyone = range(len(frame.setting_ids))
    stated = [(index, frame.params(index).get(name)) for index in everyone]
    return [(index, value) for index, value in stated if value is not None]


def _max_tokens(frame: Frame, name: str) -> dict[str, Any] | None:
    asked = _asked(frame, name)
    if not asked:
        return None
    tokens = frame.usable_values("completion_tokens")
    over = n = reached = 0
    largest = 0.0
    for index, value in asked:
        # The limit is a choice's, the usage that of all choices together.
        limit = float(value) * (frame.params(index).get("n") or 1)
        rows = frame.rows_of(index)
        known = np.isfinite(tokens[rows])
        used = tokens[rows][known]
        n += len(used)
        over += int(np.count_nonzero(used > limit))
        cut = frame.status[rows][known] == _TRUNCATED
        reached += int(np.count_nonzero((used >= limit) | cut))
        largest = max(largest, float((used - limit).max(initial=0.0)))
    return _judged(
        name, over, n, reached, "hold more tokens than asked",
        reached=reached, largest_excess=largest,
    )  # fmt: skip


def _stop(frame: Frame) -> dict[str, Any] | None:
    asked = _asked(frame, "stop")
    if not asked or "text" not in frame.records.column_names:
        return None
    broken = n = 0
    sequences: set[str] = set()
    for index, value in asked:
        wanted = [str(s) for s in cast("list[Any]", value if isinstance(value, list) else [value])]
        sequences.update(wanted)
        rows = _delivered(frame, index)
        n += rows.size
        broken += _containing(frame, rows, wanted)
    free = [i for i in range(len(frame.setting_ids)) if frame.params(i).get("stop") is None]
    rows = np.concatenate([_delivered(frame, i) for i in free]) if free else np.zeros(0, np.int64)
    without = _containing(frame, rows, sorted(sequences))
    return _judged(
        "stop",
        broken,
        n,
        # Without a setting that sends no stop, nobody knows whether there was anything to cut.
        without if free else n,
        "hold a stop sequence",
        without_stop={"n": int(rows.size), "containing": without} if free else None,
    )


def _delivered(frame: Frame, setting: int) -> Ints:
    rows = frame.rows_of(setting)
    return np.flatnonzero(frame.usable[rows]) + rows.start


def _containing(frame: Frame, rows: Ints, sequences: list[str]) -> int:
    """Count the records whose text holds any of the sequences."""
    import pyarrow.compute

    compute: Any = pyarrow.compute
    total = 0
    for texts, counts in frame.counted_texts(rows):
        held = np.zeros(len(counts), np.bool_)
        for sequence in sequences:
            match = compute.fill_null(compute.match_substring(texts, sequence), False)
            held |= np.asarray(match, dtype=np.bool_)
        total += int(counts[held].sum())
    return total


def _choices(frame: Frame, bodies: Any) -> dict[str, Any] | None:
    asked = {frame.setting_ids[index]: int(value) for index, value in _asked(frame, "n")}
    wanted = {setting_id: n for setting_id, n in asked.items() if n > 1}
    if not wanted:
        return None
    n = broken = 0
    if "choices_json" in bodies.column_names:
        columns = [
            name for name in ("setting_id", "choices_json", "status") if name in bodies.column_names
        ]
        for row in bodies.select(columns).to_pylist():
            if row["setting_id"] in wanted and row.get("status") != "error":
                n += 1
                broken += _length(row["choices_json"]) != wanted[row["setting_id"]]
    return _judged("n", broken, n, n, "come with another number of choices than asked")


def _length(choices_json: str | None) -> int:
    """How many choices there are; null means one was delivered."""
    if choices_json is None:
        return 1
    try:
        return len(msgspec.json.decode(choices_json, type=list[Any]))
    except msgspec.DecodeError:
        return 0


def _response_format(frame: Frame) -> dict[str, Any] | None:
    asked = [
        (index, cast("dict[str, Any]", value))
        for index, value in _asked(frame, "response_format")
        if isinstance(value, dict) and cast("dict[str, Any]", value).get("type") in _JSON_FORMATS
    ]
    if not asked or "text" not in frame.records.column_names:
        return None
    n = broken = 0
    for index, value in asked:
        rows = _delivered(frame, index)
        # A truncated or refused output cannot be whole JSON, whatever the provider did.
        rows = rows[frame.status[rows] == OK]
        fits = _format(value)
        for text, count in _counted_texts(frame, rows):
            n += count
            broken += 0 if text is not None and fits(text) else count
    return _judged("response_format", broken, n, n, "fail to be the JSON asked for")


def _counted_texts(frame: Frame, rows: Ints) -> Iterator[tuple[str | None, int]]:
    """Distinct texts of some records with how often each occurs."""
    for texts, counts in frame.counted_texts(rows):
        yield from zip(texts.to_pylist(), counts.tolist(), strict=True)


def _format(value: dict[str, Any]) -> Callable[[str], bool]:
    """Return what tells whether a text has a response format: any object, or one of a schema."""
    schema: Any = cast("dict[str, Any]", value.get("json_schema") or {}).get("schema")
    if value["type"] == "json_schema" and schema is not None:
        from evalharness.scoring.base import Sample
        from evalharness.scoring.scorers.json_schema import JsonSchema

        try:
            scorer = JsonSchema(schema_=schema)
        except ValueError:  # no JSON Schema: nothing can be held against it but that it is JSON
            return _is_object
        return lambda text: scorer.grade(Sample(text=text)).value == 1.0
    return _is_object


def _is_object(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except msgspec.DecodeError:
        return False
