"""How many tokens the answers will have: extrapolated from recorded ones, else 0…max_tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from evalharness.columnar.arrow_ops import positions
from evalharness.planning.plan import Plan

if TYPE_CHECKING:
    import pyarrow as pa

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Columns of the records table that are read here.
COLUMNS = (
    "prompt_id", "setting_id", "repeat", "status", "completion_tokens", "reasoning_tokens",
)  # fmt: skip


class Outputs(msgspec.Struct, frozen=True, kw_only=True):
    """Recorded answers of a plan's own trials, one entry each.

    ``prompt`` and ``setting`` are places in the plan; tokens are as reported, ``reasoning`` 0
    where not reported.
    """

    prompt: Ints
    setting: Ints
    completion: Floats
    reasoning: Floats

    def per_setting(self, settings: int) -> Ints:
        """How many there are of each setting."""
        return np.bincount(self.setting, minlength=settings)


def recorded_outputs(plan: Plan, records: pa.Table) -> Outputs:
    """The answers of the plan's trials among ``records`` (:data:`COLUMNS`), where usage is known.

    Errors without usage are left out: what a failing request costs is no guide to the others.
    """
    prompt = positions(records["prompt_id"], [p.prompt_id for p in plan.prompts])
    setting = positions(records["setting_id"], [s.setting_id for s in plan.settings])
    completion, reasoning = (
        _numbers(records, n) for n in ("completion_tokens", "reasoning_tokens")
    )
    mine = (prompt >= 0) & (setting >= 0) & np.isfinite(completion)
    return Outputs(
        prompt=prompt[mine],
        setting=setting[mine],
        completion=completion[mine],
        reasoning=np.nan_to_num(reasoning[mine]),
    )


def _numbers(records: pa.Table, name: str) -> Floats:
    if not len(records):
        return np.zeros(0)
    column: Any = records[name]
    return np.asarray(column.to_pandas().to_numpy(dtype=np.float64, na_value=np.nan))


def bounds(plan: Plan) -> Floats:
    """The most tokens one trial's answer can have: prompts × settings; infinite without a bound."""
    most = np.full((len(plan.prompts), len(plan.settings)), np.inf)
    for column, setting in enumerate(plan.settings):
        most[:, column] = _bound(setting.params)
    for row, prompt in enumerate(plan.prompts):
        if prompt.params:
            most[row] = [_bound({**s.params, **prompt.params}) for s in plan.settings]
    return most


def _bound(params: dict[str, Any]) -> float:
    most = params.get("max_tokens")
    return float("inf") if most is None else float(most * (params.get("n") or 1))
