"""How near the prompts and outputs of a synthetic workload came to the lengths asked for."""

from __future__ import annotations

import msgspec
import numpy as np

from evalharness.analysis.data import json_values
from evalharness.analysis.data.encode import Floats, Ints
from evalharness.analysis.data.frame import RunFrame

TOLERANCE = 0.02  # of a length
_FIELDS = {"prompt": "asked_prompt_tokens", "output": "asked_output_tokens"}
_COLUMNS = {"prompt": "prompt_tokens", "output": "completion_tokens"}


class _Asked(msgspec.Struct):
    asked_prompt_tokens: int | None = None
    asked_output_tokens: int | None = None


class LengthError(msgspec.Struct, frozen=True, kw_only=True):
    """Measured against asked tokens, by the server's own usage.

    Attributes:
        requests: with both known.
        wanted: mean tokens asked for.
        measured: mean tokens that the server counted.
        error: mean over prompts of the relative error, measured / wanted - 1.
        error_ci95: its interval over prompts.
        within: share of the requests that are within 2 %.
        within_ci95: its interval over prompts.
    """

    requests: int
    wanted: float
    measured: float
    error: float | None
    error_ci95: list[float] | None
    within: float | None
    within_ci95: list[float] | None


class WorkloadLengths(msgspec.Struct, frozen=True, kw_only=True):
    """The lengths of a setting's requests; null where none was asked for, or none is known.

    Attributes:
        setting_id, label: of the setting.
        prompt, output: of prompts and outputs.
    """

    setting_id: str
    label: str
    prompt: LengthError | None
    output: LengthError | None


def workload_lengths(frame: RunFrame, fields_json: list[str | None]) -> list[WorkloadLengths]:
    """Compare each setting's lengths; empty where no prompt says what was asked for.

    Args:
        frame: the run.
        fields_json: the other columns of each prompt of the frame, as JSON; null without any.
    """
    goals = [msgspec.json.decode(text or "{}", type=_Asked) for text in fields_json]
    lengths = {
        kind: np.array([np.nan if (n := getattr(goal, name)) is None else n for goal in goals])
        for kind, name in _FIELDS.items()
    }
    if np.isnan(lengths["prompt"]).all():
        return []
    rows: list[WorkloadLengths] = []
    for index, setting_id in enumerate(frame.setting_ids):
        part = frame.rows_of(index)
        known = part.start + np.flatnonzero(frame.usable[part])
        errors = {kind: _error(frame, known, kind, lengths[kind]) for kind in _FIELDS}
        rows.append(WorkloadLengths(setting_id=setting_id, label=frame.label(index), **errors))
    return rows


def _error(frame: RunFrame, rows: Ints, kind: str, lengths: Floats) -> LengthError | None:
    measured = frame.values(_COLUMNS[kind])[rows]
    wanted = lengths[frame.prompt[rows]]
    both = ~np.isnan(measured) & ~np.isnan(wanted)
    if not both.any():
        return None
    measured, wanted, prompt = measured[both], wanted[both], frame.prompt[rows][both]
    relative = measured / wanted - 1.0
    count = np.bincount(prompt, minlength=len(lengths)).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        within = np.bincount(prompt, np.abs(relative) <= TOLERANCE, minlength=len(lengths)) / count
        ratio = np.bincount(prompt, measured / wanted, minlength=len(lengths)) / count
    ends, mean_ratio = json_values.amount_interval(ratio, frame.clusters), json_values.mean(ratio)
    return LengthError(
        requests=len(measured),
        wanted=float(wanted.mean()),
        measured=float(measured.mean()),
        error=None if mean_ratio is None else mean_ratio - 1.0,
        error_ci95=None if ends is None else [ends[0] - 1.0, ends[1] - 1.0],
        within=json_values.mean(within),
        within_ci95=json_values.share_interval(within, frame.clusters),
    )
