"""Output tokens of recorded answers, and the largest number an answer can have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from evalharness.columnar.arrow_ops import index_in
from evalharness.parameters import merge_params, output_limit
from evalharness.planning.plan import Plan

if TYPE_CHECKING:
    import pyarrow as pa

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Columns of the records table that are read here.
COLUMNS = (
    "prompt_id", "setting_id", "repeat", "status", "completion_tokens", "reasoning_tokens",
)  # fmt: skip


class OutputTokens(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of the recorded answers of a plan's own trials, one entry an answer.

    ``prompt`` and ``setting`` are indexes in the plan; ``reasoning`` is 0 where not reported.
    """

    prompt: Ints
    setting: Ints
    completion: Floats
    reasoning: Floats

    def per_setting(self, settings: int) -> Ints:
        """The number of answers of each setting."""
        return np.bincount(self.setting, minlength=settings)


def recorded_output_tokens(plan: Plan, records: pa.Table) -> OutputTokens:
    """The tokens of the plan's trials among ``records`` (:data:`COLUMNS`), where usage is known.

    Errors without usage are left out: what a failing request costs is no guide to the others.
    """
    prompt = index_in(records["prompt_id"], [p.prompt_id for p in plan.prompts])
    setting = index_in(records["setting_id"], [s.setting_id for s in plan.settings])
    completion, reasoning = (
        _numbers(records, n) for n in ("completion_tokens", "reasoning_tokens")
    )
    is_counted = (prompt >= 0) & (setting >= 0) & np.isfinite(completion)
    return OutputTokens(
        prompt=prompt[is_counted],
        setting=setting[is_counted],
        completion=completion[is_counted],
        reasoning=np.nan_to_num(reasoning[is_counted]),
    )


def _numbers(records: pa.Table, name: str) -> Floats:
    if not len(records):
        return np.zeros(0)
    column: Any = records[name]
    return np.asarray(column.to_pandas().to_numpy(dtype=np.float64, na_value=np.nan))


def max_output_tokens(plan: Plan) -> Floats:
    """The upper bound of each answer's tokens, prompts × settings; infinite without a bound."""
    limits = np.full((len(plan.prompts), len(plan.settings)), np.inf)
    for column, setting in enumerate(plan.settings):
        limits[:, column] = _bound(setting.params)
    for row, prompt in enumerate(plan.prompts):
        if prompt.params:
            limits[row] = [_bound(merge_params(s.params, prompt.params)) for s in plan.settings]
    return limits


def _bound(params: dict[str, Any]) -> float:
    max_tokens = output_limit(params)
    return float("inf") if max_tokens is None else float(max_tokens * (params.get("n") or 1))
