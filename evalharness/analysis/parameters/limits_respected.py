"""Limits of a request that a response can violate: max_tokens, stop, n, response_format.

Only delivered outputs count. "No violation in N" is no proof: the sentence gives an upper bound of
the rate, and the verdict is ``undetectable`` where no output came near the limit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from evalharness.analysis import stats
from evalharness.analysis.data.encode import Ints
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.json_values import JsonValues, interval
from evalharness.analysis.data.output_texts import distinct_texts
from evalharness.analysis.data.statuses import OK, STATUSES
from evalharness.analysis.parameters.effect import (
    EffectEvidence,
    ParameterEffect,
    TextsWithoutStop,
)

_TRUNCATED = STATUSES.index("truncated")
_JSON_FORMATS = ("json_object", "json_schema")
_NO_MORE = EffectEvidence()


def limits_respected(frame: RunFrame, bodies: Any = None) -> list[ParameterEffect]:
    """Judge the limits that any setting states; see :func:`.effects.effects` for ``bodies``."""
    checks = (
        _max_tokens(frame, "max_tokens"),
        _max_tokens(frame, "max_completion_tokens"),
        _stop(frame),
        _choices(frame, bodies),
        _response_format(frame),
    )
    return [check for check in checks if check is not None]


def _verdict(
    parameter: str,
    broken: int,
    n: int,
    tested: int,
    noun: str,
    evidence: EffectEvidence = _NO_MORE,
) -> ParameterEffect:
    """The verdict when ``broken`` of ``n`` outputs violate a limit, which ``tested`` came near.

    ``evidence`` is what is known of this limit alone.
    """
    bound: float | UnsetType = UNSET
    if n == 0:
        verdict, text = "undetectable", f"no output tells whether outputs {noun}"
    elif broken:
        verdict = "not obeyed"
        text = f"{broken} of {n} outputs {noun} ({100 * broken / n:.1f} %)"
    else:
        bound = stats.divergence_bound(n) or 1.0
        verdict = "obeyed" if tested else "undetectable"
        text = f"none of {n} outputs {noun}; rate below {100 * bound:.2g} % (95 % confidence)"
        if not tested:
            text += ", but none came near it either"
    return ParameterEffect(
        parameter=parameter,
        verdict=verdict,
        evidence=msgspec.structs.replace(
            evidence,
            n=n,
            violations=broken,
            ci95=interval(stats.wilson(broken, n)),
            rate_below=bound,
        ),
        sentence=f"{parameter} {verdict}: {text}",
    )


def _settings_stating(frame: RunFrame, name: str) -> list[tuple[int, Any]]:
    """The settings that state a parameter, with its value."""
    values = [(index, frame.params(index).get(name)) for index in range(len(frame.setting_ids))]
    return [(index, value) for index, value in values if value is not None]


def _max_tokens(frame: RunFrame, name: str) -> ParameterEffect | None:
    stated = _settings_stating(frame, name)
    if not stated:
        return None
    tokens = frame.usable_values("completion_tokens")
    over = n = reached = 0
    largest = 0.0
    for index, value in stated:
        # The limit is of one choice, the usage of all choices together.
        limit = float(value) * (frame.params(index).get("n") or 1)
        rows = frame.rows_of(index)
        known = np.isfinite(tokens[rows])
        used = tokens[rows][known]
        n += len(used)
        over += int(np.count_nonzero(used > limit))
        cut = frame.status[rows][known] == _TRUNCATED
        reached += int(np.count_nonzero((used >= limit) | cut))
        largest = max(largest, float((used - limit).max(initial=0.0)))
    return _verdict(
        name, over, n, reached, "hold more tokens than asked",
        EffectEvidence(reached=reached, largest_excess=largest),
    )  # fmt: skip


def _stop(frame: RunFrame) -> ParameterEffect | None:
    stated = _settings_stating(frame, "stop")
    if not stated or "text" not in frame.records.column_names:
        return None
    broken = n = 0
    sequences: set[str] = set()
    for index, value in stated:
        stops = [str(s) for s in cast("list[Any]", value if isinstance(value, list) else [value])]
        sequences.update(stops)
        rows = _delivered_rows(frame, index)
        n += rows.size
        broken += _count_containing(frame, rows, stops)
    free = [i for i in range(len(frame.setting_ids)) if frame.params(i).get("stop") is None]
    rows = (
        np.concatenate([_delivered_rows(frame, i) for i in free]) if free else np.zeros(0, np.int64)
    )
    without = _count_containing(frame, rows, sorted(sequences))
    without_stop = TextsWithoutStop(n=int(rows.size), containing=without) if free else None
    return _verdict(
        "stop",
        broken,
        n,
        # Without a setting that sends no stop, it is unknown whether there was anything to cut.
        without if free else n,
        "hold a stop sequence",
        EffectEvidence(without_stop=without_stop),
    )


def _delivered_rows(frame: RunFrame, setting: int) -> Ints:
    rows = frame.rows_of(setting)
    return np.flatnonzero(frame.usable[rows]) + rows.start


def _count_containing(frame: RunFrame, rows: Ints, sequences: list[str]) -> int:
    """Count the records whose text holds any of the sequences."""
    import pyarrow.compute

    compute: Any = pyarrow.compute
    total = 0
    for texts, counts in distinct_texts(frame, rows):
        contains = np.zeros(len(counts), np.bool_)
        for sequence in sequences:
            match = compute.fill_null(compute.match_substring(texts, sequence), False)
            contains |= np.asarray(match, dtype=np.bool_)
        total += int(counts[contains].sum())
    return total


def _choices(frame: RunFrame, bodies: Any) -> ParameterEffect | None:
    stated = [(frame.setting_ids[i], int(value)) for i, value in _settings_stating(frame, "n")]
    requested = {setting_id: n for setting_id, n in stated if n > 1}
    if not requested:
        return None
    n = broken = 0
    if bodies is not None and "choices_json" in bodies.column_names:
        columns = [
            name for name in ("setting_id", "choices_json", "status") if name in bodies.column_names
        ]
        for row in bodies.select(columns).to_pylist():
            if row["setting_id"] in requested and row.get("status") != "error":
                n += 1
                broken += _length(row["choices_json"]) != requested[row["setting_id"]]
    return _verdict("n", broken, n, n, "come with another number of choices than asked")


def _length(choices_json: str | None) -> int:
    """How many choices there are; null means one was delivered."""
    if choices_json is None:
        return 1
    try:
        return len(msgspec.json.decode(choices_json, type=list[Any]))
    except msgspec.DecodeError:
        return 0


def _response_format(frame: RunFrame) -> ParameterEffect | None:
    stated = [
        (index, cast("JsonValues", value))
        for index, value in _settings_stating(frame, "response_format")
        if isinstance(value, dict) and cast("JsonValues", value).get("type") in _JSON_FORMATS
    ]
    if not stated or "text" not in frame.records.column_names:
        return None
    n = broken = 0
    for index, value in stated:
        rows = _delivered_rows(frame, index)
        # A truncated or refused output cannot be whole JSON, whatever the provider did.
        rows = rows[frame.status[rows] == OK]
        fits = _format_check(value)
        for text, count in _texts_with_counts(frame, rows):
            if not text:  # an answer without text that is ok is a tool call
                continue
            n += count
            broken += 0 if fits(text) else count
    return _verdict("response_format", broken, n, n, "fail to be the JSON asked for")


def _texts_with_counts(frame: RunFrame, rows: Ints) -> Iterator[tuple[str | None, int]]:
    """Distinct texts of some records with how often each occurs."""
    for texts, counts in distinct_texts(frame, rows):
        yield from zip(texts.to_pylist(), counts.tolist(), strict=True)


def _format_check(value: JsonValues) -> Callable[[str], bool]:
    """A check whether a text has a response format: any object, or one of a schema."""
    schema: Any = cast("JsonValues", value.get("json_schema") or {}).get("schema")
    if value["type"] == "json_schema" and schema is not None:
        from evalharness.scoring.base import Sample
        from evalharness.scoring.scorers.json_schema import JsonSchemaScorer

        try:
            scorer = JsonSchemaScorer(schema_=schema)
        except ValueError:  # no JSON Schema: only whether the text is a JSON object can be checked
            return _is_object
        return lambda text: scorer.evaluate(Sample(text=text)).value == 1.0
    return _is_object


def _is_object(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except msgspec.DecodeError:
        return False
